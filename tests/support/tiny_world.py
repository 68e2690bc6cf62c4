"""A tiny world for whole runs: a random model, a corpus, requests and a spec, created in a second.

The weights come from numpy's legacy generator, whose stream never changes, so golden numbers do not depend on how torch
or transformers initialise a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from editflow.flows.cli.main import main
from editflow.flows.edit_model import edit
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.tracked_run import use_threads
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.identity import table_digest
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.environment import environment
from editflow.tasks.models.model_session import ModelSession
from editflow.tasks.stages.stage import Parents, Stage

FILLER = ["".join(parts) for parts in product("bdfgklmnprst", "aeiou", ("l", "n", "ra", "so"))]
GLUE = "the a of is in was city river speaks born flows through and it who says lives The I You Because Therefore"
WORDS = ["<unk>", *GLUE.split(), ".", *FILLER]
LLAMA = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": None,
}
SPEC = """
name = "tiny"
threads = 1

[model]
source = "{model}"

[corpus]
source = "{corpus}"
documents = 50
held_out_documents = 5
min_characters = 50
window = 32
tokens = 1500
partitions = 2
tokens_per_pass = 256
held_out_tokens = 200

[null_space]
rule = "rank"
value = 0.5

[requests]
source = "facts.jsonl"
count = 6

[contexts]
count = 2
tokens = 4

[target_values]
steps = 8

[edit]
layers = [0, 1, 2]
z_layer = 2
batch_size = 2
checkpoint_every = 2
"""


@dataclass(frozen=True)
class World:
    """The input files of a run, in one folder."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def spec(self) -> Path:
        return self.folder / "tiny.toml"

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus.jsonl"

    @property
    def facts(self) -> Path:
        return self.folder / "facts.jsonl"


def make(folder: Path) -> World:
    """Write a whole world into a folder."""
    world = World(folder)
    save_model(world.model)
    write_lines(world.corpus, documents())
    write_lines(world.facts, records())
    world.spec.write_text(SPEC.format(model=world.model, corpus=world.corpus), encoding="utf-8")
    return world


def save_model(folder: Path, scale: float = 0.25, model: Any = None) -> None:
    """Save a random four-layer Llama (width 32, key width 64), or `model`, with a tokenizer of one token per word."""
    model = model or LlamaForCausalLM(LlamaConfig(**LLAMA))
    random = np.random.RandomState(7)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if not name.endswith("norm.weight"):
                weight.copy_(torch.from_numpy(random.standard_normal(tuple(weight.shape)) * scale))
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)


def gemma2() -> Gemma2ForCausalLM:
    """A tiny Gemma 2 whose sliding window is shorter than the prompts and whose logit cap matters, for `save_model`."""
    normed = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 6, "pad_token_id": 0}
    return Gemma2ForCausalLM(Gemma2Config(**{**LLAMA, **normed}, final_logit_softcapping=8.0))


def documents(count: int = 60, words: int = 50) -> list[dict[str, str]]:
    """Documents of made-up words, with the same word frequencies (Zipf) in every document."""
    random = np.random.RandomState(11)
    share = 1 / np.arange(1, len(WORDS))
    rows = random.choice(WORDS[1:], size=(count, words), p=share / share.sum())
    return [{"id": f"d{n}", "title": f"Document {n}", "text": " ".join(row)} for n, row in enumerate(rows)]


def records(count: int = 12) -> list[dict[str, Any]]:
    """Requests in CounterFact's format over three relations; targets have one or two words."""
    random = np.random.RandomState(13)
    names = random.permutation(FILLER).tolist()
    templates = ("{} was born in the city of", "{} speaks", "the river {} flows through the")
    rows = []
    for n in range(count):
        first, last, near, other, true, new, second = (names.pop() for _ in range(7))
        prompt, subject = templates[n % 3], f"{first} {last}"
        rewrite = {
            "prompt": prompt,
            "subject": subject,
            "target_true": {"str": true},
            "target_new": {"str": new if n % 2 else f"{new} {second}"},
        }
        rows.append(
            {
                "case_id": n,
                "relation": f"r{n % 3}",
                "requested_rewrite": rewrite,
                "paraphrase_prompts": [f"it is {subject} who says", f"the city of {subject} is"],
                "neighborhood_prompts": [prompt.replace("{}", name) for name in (near, other)],
            }
        )
    return rows


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    """Write rows as JSONL; strings are written unchanged."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Answer:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def editflow(*arguments: object) -> Answer:
    """Run the command line in this process."""
    out, err = StringIO(), StringIO()
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
    return Answer(code, out.getvalue(), err.getvalue())


def run(spec: Path, lake: Path, *settings: str) -> dict[str, Any]:
    """Run a spec, which must succeed; returns the record."""
    answer = editflow("run", spec, "--lake", lake, "--json", *(part for s in settings for part in ("--set", s)))
    assert answer.code == 0, answer.err
    return dict(answer.json)


class DirectPipeline(Pipeline):
    """Runs the stages one by one without Prefect, for tests without a server."""

    def _call(self, stage: Stage[Any], settings: Any, parents: Parents, *, known: bool, label: str) -> ArtifactRef:
        del known, label
        return stage.perform(self.lake.uri, settings, parents, {"run": self.record.run_id, "device": self.device})

    def _import(self, imported: ImportedTable, *, known: bool, label: str) -> ArtifactRef:
        del known, label
        return imported.store(self.lake, run=self.record.run_id, environment=environment(self.device))


def run_directly(spec: Path, lake: Path, *settings: str) -> dict[str, Any]:
    """Run a spec without Prefect; returns the summary."""
    return dict(record_directly(spec, lake, *settings).summary)


def record_directly(spec: Path, lake: Path, *settings: str) -> RunRecord:
    """Run a spec without Prefect and without an index; returns the record."""
    checked, store = load_spec(spec, settings), Lake.open(lake)
    use_threads(checked)
    runs = Runs(store.files)
    record = runs.start(checked.name, checked.model_dump(mode="json"))
    pipe = DirectPipeline(store, record, checked.model.device, lambda _use, _ref: None)
    summary = edit(checked, pipe)
    uses = list(pipe.uses.values())
    return runs.finish(record, "completed", state=summary["state"], summary=summary, uses=uses)


@contextmanager
def counted_loads() -> Iterator[list[Path]]:
    """The folders of the models loaded inside the block, one entry per load."""
    loads: list[Path] = []
    load = ModelSession.load

    def counting(folder: Path, dtype: str, device: str) -> ModelSession:
        loads.append(folder)
        return load(folder, dtype, device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelSession, "load", counting)
        yield loads


def digests(lake: Path) -> dict[str, str]:
    """{artifact id: digest of its content} of a lake."""
    return {manifest.id: manifest.digest for manifest in Lake.open(lake).manifests()}


def artifacts(lake: Path, kind: str) -> list[Manifest]:
    """The manifests of a kind, oldest first."""
    found = [m for m in Lake.open(lake).manifests() if m.kind == kind]
    return sorted(found, key=lambda m: m.created_at)


def payload(lake: Path, manifest: Manifest) -> Path:
    """The path of an artifact's payload."""
    return Path(lake) / manifest.payload


def sound(lake: Path) -> None:
    """Assert that every artifact folder has exactly a manifest and the matching payload, and no file is unfinished."""
    store = Lake.open(lake)
    for folder in (Path(lake) / "artifacts").glob("*/*"):
        names = sorted(path.name for path in folder.iterdir())
        if names:
            manifest = store.manifest(folder.name)
            assert names == ["manifest.json", payload(lake, manifest).name]
            assert table_digest(store.read(manifest.id)) == manifest.digest
    assert not list(Path(lake).rglob(".tmp-*"))
