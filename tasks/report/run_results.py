"""The results of a run, read from its artifacts. Every number of the report comes from here."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeVar

from editflow.editing.metrics.score_columns import available, cases
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.errors import UnknownArtifact
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.errors import ArtifactGone, NothingToReport
from editflow.tasks.report.row_types import NormRow, PerplexityRow, PromptRow, RecordedBatch, RequestRow, TargetValueRow

PARENT_KINDS = (
    "model", "evaluation", "perplexity", "text_scores", "drift_points", "drift", "ability", "state", "target_values",
    "keys", "spectrum", "null_space", "requests",
)  # fmt: skip
"""The kinds of artifacts that a report is made from."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_count(value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _are_layers(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_count, value))


REQUIRED_SETTINGS: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    "target_values": {"stop_at": _is_number, "clamp": _is_number},
    "edit": {"layers": _are_layers, "method": _is_text},
    "model": {"source": _is_text},
}
"""The settings of a run's spec that a report reads, each with a check of its value."""
Found = TypeVar("Found")
ByStateAndMetric = dict[tuple[int, str], list[PromptRow]]


@dataclass(frozen=True)
class RunResults:
    """The results of a completed run. State 0 is the base model, state n the model after batch n."""

    lake: Lake
    record: RunRecord
    manifests: Mapping[str, Manifest]

    @classmethod
    def load(cls, lake: Lake, run_id: str) -> RunResults:
        """The results of a run.

        Raises UnknownRun, ArtifactGone if an artifact is no longer in the lake, and NothingToReport if the record or
        an artifact that a report needs is missing or malformed.
        """
        record = Runs(lake.files).get(run_id)
        try:
            run = cls(lake, record, {use.artifact: lake.manifest(use.artifact) for use in record.uses})
        except UnknownArtifact as error:
            raise ArtifactGone(run_id, str(error)) from None
        for missing in run._missing():
            raise NothingToReport(run_id, missing)
        return run

    def _missing(self) -> Iterator[str]:
        """The parts that every report needs and that are missing, or that no run writes in this form."""
        kinds = {manifest.kind for manifest in self.manifests.values()}
        yield from (kind for kind in ("model", "state", "evaluation") if kind not in kinds)
        yield from missing_settings(self.record.spec)
        yield from self._missing_batches(self.record.summary.get("batches") or [])

    def _missing_batches(self, batches: Sequence[RecordedBatch]) -> Iterator[str]:
        """Numbers of batches rise from 1. A number is skipped if all facts of its batch were withdrawn."""
        states = {manifest.id for manifest in self.of_kind("state")}
        numbers = [0, *(batch["batch"] for batch in batches)]
        if not batches or numbers[-1] > len(batches) + withdrawn_count(self.record.spec):
            yield "batches"
        for before, batch in zip(numbers, batches, strict=False):
            if batch["batch"] <= before or batch["facts"] < 1:
                yield "valid number of a batch, or of its facts,"
            if batch["state"] not in states:
                yield f"state {batch['state'][:12]} among its artifacts"

    @cached_property
    def states(self) -> dict[str, int]:
        """The number of each state by its id."""
        model = next(m.id for m in self.manifests.values() if m.kind == "model")
        return {model: 0} | {batch["state"]: batch["batch"] for batch in self.record.summary["batches"]}

    def state_number(self, manifest: Manifest) -> int:
        """The number of an artifact's parent state. Raises NothingToReport if that is not a state of the run."""
        return self._require(manifest, self.states.get(state := manifest.parent("state")), f"state {state[:12]}")

    def parent_of(self, manifest: Manifest, role: str) -> Manifest:
        """The parent of an artifact in a role. Raises NothingToReport if the run did not use the parent."""
        return self._require(manifest, self.manifests.get(id_ := manifest.parent(role)), f"{role} {id_[:12]}")

    def _require(self, child: Manifest, found: Found | None, parent: str) -> Found:
        if found is None:
            raise NothingToReport(self.record.run_id, f"{parent}, the parent of {child.kind} {child.id[:12]},")
        return found

    def of_kind(self, name: str) -> list[Manifest]:
        """The run's artifacts of a kind, in the order of the run."""
        return [manifest for manifest in self.manifests.values() if manifest.kind == name]

    @property
    def sources(self) -> dict[str, list[str]]:
        """The ids of the report's parents by kind."""
        chosen = {name: [m.id for m in self.of_kind(name)] for name in PARENT_KINDS}
        return {name: ids for name, ids in (chosen | {"requests": [self.requests_id]}).items() if ids}

    @cached_property
    def requests_id(self) -> str:
        """The id of the artifact with all requests of the run and their evaluation prompts."""
        base = next(iter(self.states))
        for manifest in self.of_kind("evaluation"):
            if manifest.parent("state") == base:
                return manifest.parent("requests")
        raise NothingToReport(self.record.run_id, "evaluation of the base model")

    @cached_property
    def requests(self) -> dict[str, RequestRow]:
        """The requests by id, in the order of editing."""
        rows = self.lake.read(self.requests_id).to_pylist()
        ends = list(accumulate(batch["facts"] for batch in self.record.summary["batches"]))
        if any(row["position"] >= ends[-1] for row in rows):
            raise NothingToReport(self.record.run_id, "batch of some requests")
        batch = [bisect(ends, row["position"]) + 1 for row in rows]
        return {row["request"]: row | {"batch": n} for row, n in zip(rows, batch, strict=True)}

    @cached_property
    def scores(self) -> list[PromptRow]:
        """The evaluated prompts of all states, each prompt once per state.

        `edited` and `said_before` are copied from the base model's row of the same prompt. The base model is evaluated
        on all facts, but a batch's evaluation knows only its own. States are comparable only if the same neighbours are
        excluded in all of them.
        """
        seen: dict[tuple[object, ...], PromptRow] = {}
        edited: dict[tuple[str, ...], bool] = {}
        said: dict[tuple[str, ...], list[int] | None] = {}
        for n, row in sorted(self._rows_by_state("evaluation"), key=lambda found: found[0]):
            key = (row["request"], row["metric"], row["prompt"])
            if n == 0:
                edited.setdefault(key, bool(row.get("edited")))
                said.setdefault(key, row.get("said"))
            shared = {"edited": edited.get(key, bool(row.get("edited"))), "said_before": said.get(key)}
            seen.setdefault((n, *key), row | {"n": n} | shared)
        return list(seen.values())

    @cached_property
    def perplexities(self) -> dict[int, list[PerplexityRow]]:
        """The held-out documents by the number of the state."""
        found: dict[int, list[PerplexityRow]] = {}
        for n, row in self._rows_by_state("perplexity"):
            found.setdefault(n, []).append(row)
        return found

    @cached_property
    def target_values(self) -> dict[str, TargetValueRow]:
        """The optimisation of each request's target value, by request."""
        columns = [name for name in kind("target_values").schema.names if name != "z"]
        rows = (row for m in self.of_kind("target_values") for row in self.lake.read(m.id, columns).to_pylist())
        return {row["request"]: row for row in rows}

    @cached_property
    def norms(self) -> list[NormRow]:
        """One row per state and edited layer."""
        return [
            row | {"n": self.states[m.id]}
            for m in self.of_kind("state")
            if m.id in self.states
            for row in self.lake.read(m.id).to_pylist()
        ]

    @property
    def last(self) -> int:
        """The number of the final state."""
        return max(self.states.values())

    def cases(self, n: int, metric: str, column: str) -> dict[str, float]:
        """{request: mean over its prompts in a state}, for requests that were evaluated and have the score."""
        return cases(self._prompts.get((n, metric), ()), column)

    def evaluated(self, n: int, metric: str) -> set[str]:
        """The requests that were evaluated by a metric in a state, with or without a score."""
        return {row["request"] for row in self._prompts.get((n, metric), ())}

    def plotted_score(self, metric: str) -> str:
        """The score of a metric that is plotted: success, or token accuracy for a metric without success."""
        return "success" if "success" in self.columns(metric) else "token accuracy"

    def columns(self, metric: str) -> list[str]:
        """The scores of a metric."""
        return available(self._prompts.get((0, metric), ()))

    @cached_property
    def metrics(self) -> list[str]:
        """The measured metrics, in the order of the spec."""
        return list(dict.fromkeys(row["metric"] for row in self.scores))

    @cached_property
    def _prompts(self) -> ByStateAndMetric:
        return _by_state_and_metric(self.scores)

    def prompts(self, request: str) -> ByStateAndMetric:
        """A request's prompts by state and metric."""
        return _by_state_and_metric(self._by_request.get(request, ()))

    @cached_property
    def _by_request(self) -> dict[str, list[PromptRow]]:
        found: dict[str, list[PromptRow]] = {}
        for row in self.scores:
            found.setdefault(row["request"], []).append(row)
        return found

    @property
    def stop_at(self) -> float:
        """The loss at which the optimisation of a target value stops."""
        return float(self.record.spec["target_values"]["stop_at"])

    @property
    def clamp(self) -> float:
        """The largest norm of δ, as a fraction of the hidden state's norm."""
        return float(self.record.spec["target_values"]["clamp"])

    def _rows_by_state(self, name: str) -> Iterator[tuple[int, Any]]:
        """(number of the state, row) of all artifacts of a kind."""
        for manifest in self.of_kind(name):
            number = self.state_number(manifest)
            for row in self.lake.read(manifest.id).to_pylist():
                yield number, row


def _by_state_and_metric(rows: Iterable[PromptRow]) -> ByStateAndMetric:
    found: ByStateAndMetric = {}
    for row in rows:
        found.setdefault((row["n"], row["metric"]), []).append(row)
    return found


def withdrawn_count(spec: Mapping[str, Any]) -> int:
    """The number of facts that a spec withdraws."""
    requests = spec.get("requests")
    names = requests.get("withdrawn") if isinstance(requests, Mapping) else None
    return len(names) if isinstance(names, list | tuple) else 0


def missing_settings(spec: Mapping[str, Any]) -> Iterator[str]:
    """The settings that a report uses and that a spec does not have, or has with another type.

    The rest of the spec is not checked, so that a run of an earlier version has a report even if this version rejects
    its spec.
    """
    for section, settings in REQUIRED_SETTINGS.items():
        found = spec.get(section)
        if not isinstance(found, Mapping):
            yield section
            continue
        yield from (f"{section}.{name}" for name, is_valid in settings.items() if not is_valid(found.get(name)))
