"""A thousand facts in batches of a hundred: `editflow run` with its server and lake, and its repetition."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from benchmarks import inputs
from benchmarks.literal.edit import Edited, edit, evaluate
from benchmarks.literal.facts import question
from benchmarks.many import write_requests
from benchmarks.stage import Answer, Disagreement, Reached, Stage, Work
from benchmarks.stages.target_values import settings_of
from editflow.editing.editors.options import TargetValueOptions
from editflow.storage.artifacts.store import Lake
from editflow.tasks.sources.edit_requests import load_requests

SPEC = """
name = "whole-run"
threads = {threads}
[corpus]
source = "wikipedia-sample"
tokens = {tokens}
[requests]
source = "{requests}"
[target_values]
forward = "bfloat16"
[edit]
batch_size = {batch}
[evaluation]
after_batch = []
"""


@dataclass(frozen=True)
class Size:
    """Facts and batch for us; how many of the facts the literal way does, as one batch, and the corpus."""

    facts: int
    batch: int
    literal: int
    tokens: int


def ours(size: Size) -> Work:
    """The command that users type, matrices multiplied in bfloat16, evaluation before and after the edits.

    What does not depend on the facts is in the lake before: moments, null space, contexts, the base model's perplexity.
    It can be run once: a second time everything is reused.
    """
    folder = Path(tempfile.mkdtemp(prefix="editflow-bench-"))
    write_requests(folder / "requests.jsonl", size.facts)
    spec = folder / "whole-run.toml"
    text = SPEC.format(threads=torch.get_num_threads(), tokens=size.tokens, requests="requests.jsonl", batch=size.batch)
    spec.write_text(text, encoding="utf-8")
    _run(spec, "--set", "requests.count=1", "--set", "target_values.steps=1")

    def work() -> Answer:
        started = time.perf_counter()
        record = _run(spec)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        _run(spec)
        again = time.perf_counter() - started
        lake = Lake.open(str(folder / "lake"))
        made = [lake.manifest(use["artifact"]) for use in record["uses"] if use["how"] == "created"]
        after = record["summary"]["after"]
        values = {
            "efficacy": after["efficacy"]["success"] / 100,
            "rerun": again,
            "beside the stages": 1 - sum(made_one.seconds for made_one in made) / seconds,
            "z* of each batch": [m.seconds for m in made if m.kind == "target_values"],
        }
        shutil.rmtree(folder)
        found = {name: np.atleast_1d(np.array(value, dtype=float)) for name, value in values.items()}
        return Answer(size.facts, found, seconds=seconds)

    return work


def _run(spec: Path, *settings: str) -> dict[str, Any]:
    editflow = Path(sys.executable).with_name("editflow")
    command = [str(editflow), "run", str(spec), "--lake", str(spec.parent / "lake"), "--json", *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def literal_way(size: Size) -> Work:
    """Some of the facts as one batch, then their evaluation: the time per fact is taken for all.

    P is the identity and C zero, which cost what any others cost. The layers' solves are shared by 20 facts here where
    100 would share them, and there is no evaluation before the edits: both are small, the one in our favour, the other
    against us. It can be run once, since it edits its model.
    """
    model = inputs.model()
    contexts = inputs.contexts(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requests.jsonl"
        write_requests(path, size.facts)
        requests = load_requests(path)
    chosen = inputs.spread(requests, size.literal)
    facts = [question(model.tokenizer, r.prompt, r.subject, r.target_new, contexts) for r in chosen]
    asked: list[tuple[list[int], list[int], list[int]]] = []
    rewrites: list[int] = []
    for r in chosen:
        rewrites.append(len(asked))
        for prompt in (r.filled, *r.paraphrase_prompts, *r.neighborhood_prompts):
            ids = model.tokenizer(prompt)["input_ids"]
            new, true = (
                model.tokenizer(f"{prompt} {t}")["input_ids"][len(ids) :] for t in (r.target_new, r.target_true)
            )
            asked.append((ids, new, true))
    width = model.key_width(inputs.LAYERS[0])
    eye = torch.eye(width, dtype=torch.float64)
    where = Edited(
        [model.layers[n] for n in inputs.LAYERS],
        [cast(nn.Linear, model.down_projection(n)) for n in inputs.LAYERS],
        [eye for _ in inputs.LAYERS],
        [torch.zeros_like(eye) for _ in inputs.LAYERS],
        1.0,
    )

    def work() -> Answer:
        edit(model.model, where, facts, settings_of(TargetValueOptions()))
        wins = evaluate(model.model, asked)
        return Answer(size.literal, {"efficacy": np.array([np.mean([wins[i] for i in rewrites])])})

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Both ways put nearly all facts in; other measurements of our run are reported with it."""
    found = {name: values.tolist() for name, values in ours.values.items()}
    theirs = float(literal.values["efficacy"][0])
    if not 0.9 <= min(found["efficacy"][0], theirs) <= max(found["efficacy"][0], theirs) <= 1:
        raise Disagreement(f"efficacy {found['efficacy'][0]:.3f}, {theirs:.3f}: at least 0.9 is wanted")
    batches = found["z* of each batch"]
    return (
        f"efficacy {found['efficacy'][0]:.3f}, {theirs:.3f}; z* {min(batches):.0f}–{max(batches):.0f} s a batch; "
        f"{100 * found['beside the stages'][0]:.1f} % beside the stages; again {found['rerun'][0]:.0f} s"
    )


def limits(reached: Reached) -> Iterator[str]:
    """4 GB, 3 % for orchestration and storage, half a minute for the run again, target values as fast at the end."""
    found = {name: value.tolist() for name, value in reached.answer.values.items()}
    batches = found["z* of each batch"]
    if reached.ours_bytes > 4e9:
        yield "4 GB"
    if found["beside the stages"][0] > 0.03:
        yield "3 % beside the stages"
    if found["rerun"][0] > 30:
        yield "30 s for the run again"
    if sum(batches[-3:]) > 1.25 * sum(batches[:3]):
        yield "flat z* time"


STAGE = Stage(
    title="whole run, bfloat16",
    unit="fact",
    wanted={"full": 10.0},
    sizes={"tiny": Size(4, 2, 2, 4_000), "full": Size(1_000, 100, 20, 120_000)},
    ours=ours,
    literal=literal_way,
    compare=compare,
    counted=False,
    whole=True,
    limits=limits,
    rounds={"full": 1},
)
