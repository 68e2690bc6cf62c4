"""The arguments of `editflow tune`: their checks before any work, and the spec that the search starts from."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editflow.editing.editors.methods import METHODS
from editflow.editing.requests.record import EditRequest
from editflow.flows.console import output_files
from editflow.flows.console.errors import BadSpec, UsageError
from editflow.flows.spec.overrides import apply_all
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_validation import check_spec
from editflow.flows.spec.toml_text import RawSpec
from editflow.flows.tuning.search_space import (
    CENTRES,
    SEARCHED,
    SearchRange,
    Setting,
    candidates,
    check_fixed,
    window,
)
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.sources.edit_requests import choose_probes, load_requests, without_probes

MARK = "# Written by `editflow tune`"
"""The start of the first line of a file that may be overwritten."""
WINDOW, TOKENS, DOCUMENTS = 256, 120_000, 90
BATCHES = 3
"""Batches in which a trial edits its probes, so that the effect of a batch on earlier ones is measured."""
EVALUATED_FACTS = 100
"""Maximum number of facts of a run on the written spec; users can raise it."""


@dataclass(frozen=True)
class TuneArguments:
    """The arguments of the command. `settings` are `key=value`; `minutes` is the budget."""

    model: str
    requests: str
    minutes: float
    facts: int = 24
    corpus: str | None = None
    seed: int = 0
    settings: tuple[str, ...] = ()
    out: Path = Path("tuned.toml")

    @property
    def given(self) -> RawSpec:
        """The settings as nested keys."""
        raw: RawSpec = {}
        apply_all(raw, self.settings)
        return raw

    @property
    def fixed(self) -> set[str]:
        """The coordinates that are set by the user and not searched."""
        given = self.given
        keys = {**SEARCHED, "z_layer": "edit.z_layer"}
        return {name for name, key in keys.items() if _has(given, key)}


def _has(raw: Mapping[str, Any], key: str) -> bool:
    section, _, name = key.partition(".")
    return isinstance(raw.get(section), Mapping) and name in raw[section]


def check(arguments: TuneArguments) -> None:
    """Raise UsageError for invalid arguments, before anything is read."""
    if not (math.isfinite(arguments.minutes) and arguments.minutes > 0):
        raise UsageError(f"--budget {arguments.minutes:g}: give minutes above 0, such as --budget 20")
    if arguments.facts < 1:
        raise UsageError(f"--facts {arguments.facts}: probe at least one fact, or leave it out for 24")
    replaces = output_files.check(arguments.out, "tuned.toml", "spec")
    if replaces and not _is_ours(output_files.expanded(arguments.out)):
        raise UsageError(f"{arguments.out} was not written by editflow tune and is left as it is: give another --out")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def draft(arguments: TuneArguments) -> RunSpec:
    """The spec before the model is known. Raises BadSpec."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(arguments.model.rstrip("/")).name.lower()).strip("-")[:50] or "model"
    raw: RawSpec = {
        "name": f"tune-{slug}",
        "model": {"source": arguments.model},
        "requests": {"source": arguments.requests, "seed": arguments.seed, "exclude_probes": arguments.facts},
        "evaluation": {"after_batch": []},
    }
    if arguments.corpus is not None:
        raw["corpus"] = {"source": arguments.corpus}
    set_elsewhere = {"model.source": "MODEL", "requests.source": "--requests", "requests.seed": "--seed",
           "requests.exclude_probes": "--facts", "requests.count": "the written spec",
           "requests.order": "the written spec", "corpus.layers": "the search",
           "evaluation.metrics": "the objective"}  # fmt: skip
    for key, place in set_elsewhere.items():
        if _has(arguments.given, key):
            raise BadSpec(f"--set {key}: {place} sets it; leave it out")
    check_fixed(arguments.fixed)
    apply_all(raw, arguments.settings)
    layers = raw["edit"]["layers"] if _has(raw, "edit.layers") else None
    if "z_layer" not in arguments.fixed and isinstance(layers, list) and layers:
        raw["edit"]["z_layer"] = layers[-1]
    spec = check_spec(raw, "--set")
    if spec.seeds:
        raise BadSpec("--set seeds: trials have one seed; put seeds into the written spec")
    method, options = spec.edit.chosen, spec.edit.options
    if "alpha" not in method.option_names and method.required_statistics(options) != ("null_space",):
        supported = ", ".join(sorted(m.name for m in METHODS.values() if "alpha" in m.option_names))
        raise BadSpec(
            f"--set edit.method={method.name}: tune searches methods that use a null space or α; "
            f"use alphaedit, {supported}"
        )
    return spec


def fit_to_model(arguments: TuneArguments, spec: RunSpec, model: ModelDescription) -> RunSpec:
    """Fit the draft to a pinned model: the starting point of the search, its candidate layers, and enough text."""
    depth, width, search_range = model.depth, model.key_width, SearchRange.of(model.model_type)
    raw = spec.model_dump(exclude_none=True)
    tokens = max(TOKENS, 10 * width)
    sizes = {
        "window": min(WINDOW, model.positions or WINDOW),
        "tokens": tokens,
        "documents": math.ceil(DOCUMENTS * tokens / TOKENS),
    }
    raw["corpus"] |= {key: value for key, value in sizes.items() if not _has(arguments.given, f"corpus.{key}")}
    if "layers" not in arguments.fixed:
        raw["edit"]["layers"] = list(window(depth, CENTRES[0], search_range.widths[0]))
    if "z_layer" not in arguments.fixed:
        raw["edit"]["z_layer"] = raw["edit"]["layers"][-1]
    if "clamp" not in arguments.fixed:
        raw["target_values"]["clamp"] = search_range.clamps[0]
    if not _has(arguments.given, "edit.batch_size"):
        raw["edit"]["batch_size"] = -(-arguments.facts // BATCHES)
    fitted = check_spec(raw, "--set")
    raw["corpus"]["layers"] = candidates(depth, arguments.fixed, Setting.of(fitted), search_range)
    return check_spec(raw, "--set")


@dataclass(frozen=True)
class Split:
    """The facts that trials edit, and the number of facts that the search never sees."""

    probes: Sequence[EditRequest]
    unseen: int


def split(arguments: TuneArguments, dataset: str | None) -> Split:
    """Split the file's facts. Raises UsageError if too few have neighbours, or if all of them are probes."""
    found = load_requests(arguments.requests, dataset)
    chosen = choose_probes(found, arguments.facts, arguments.seed)
    if not chosen:
        raise UsageError(f"{arguments.requests} has no fact with neighbourhood prompts and a true target: add some")
    if len(chosen) < arguments.facts:
        raise UsageError(
            f"{arguments.requests} has {len(chosen)} facts with neighbours, fewer than the "
            f"{arguments.facts} to probe; lower --facts"
        )
    rest = len(without_probes(found, arguments.facts, arguments.seed))
    if not rest:
        raise UsageError(
            f"{arguments.requests} has no fact left that is not probed; lower --facts from {arguments.facts}"
        )
    return Split(chosen, rest)


def absolute(source: str) -> str:
    """The absolute path of a local file or folder, so that a spec works from anywhere; other sources unchanged."""
    with_home = Path(source).expanduser()
    return os.path.abspath(with_home) if with_home.exists() else source  # noqa: PTH100 - links are kept
