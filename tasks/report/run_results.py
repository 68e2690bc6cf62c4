"""The results of a run, read from its artifacts: the source of every number in the report."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from editflow.tasks.report.row_types import NormRow, PerplexityRow, PromptRow, RequestRow, TargetValueRow

READ = (
    "model", "evaluation", "perplexity", "text_scores", "drift_points", "drift", "ability", "state", "target_values",
    "keys", "spectrum", "null_space", "requests",
)  # fmt: skip
"""The kinds of artifact that a report is made from."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_count(value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _are_layers(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_count, value))


READ_OF_SPEC: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    "target_values": {"stop_at": _is_number, "clamp": _is_number},
    "edit": {"layers": _are_layers, "method": _is_text},
    "model": {"source": _is_text},
}
"""The settings of a run's spec that a report reads, and whether a value can be one."""
Known = TypeVar("Known")


@dataclass(frozen=True)
class RunResults:
    """A completed run. States are counted from 0, the base model; n is the state after n batches."""

    lake: Lake
    record: RunRecord
    manifests: Mapping[str, Manifest]

    @classmethod
    def of(cls, lake: Lake, run_id: str) -> RunResults:
        """The results of a run; raises UnknownRun, ArtifactGone, or NothingToReport for one that is not ours."""
        record = Runs(lake.files).get(run_id)
        try:
            run = cls(lake, record, {use.artifact: lake.manifest(use.artifact) for use in record.uses})
        except UnknownArtifact as error:
            raise ArtifactGone(run_id, str(error)) from None
        for lack in run._lacking():
            raise NothingToReport(run_id, lack)
        return run

    def _lacking(self) -> Iterator[str]:
        """What no report can be without, and what the record has of it in a shape that no run writes."""
        kinds = {manifest.kind for manifest in self.manifests.values()}
        yield from (kind for kind in ("model", "state", "evaluation") if kind not in kinds)
        yield from missing_settings(self.record.spec)
        yield from self._lacking_batches(self.record.summary.get("batches") or [])

    def _lacking_batches(self, batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Batches rise from 1; there are gaps where all facts of one were withdrawn."""
        states = {manifest.id for manifest in self.of_kind("state")}
        numbers = [0, *(batch["batch"] for batch in batches)]
        if not batches or numbers[-1] > len(batches) + withdrawn_count(self.record.spec):
            yield "batches"
        for before, batch in zip(numbers, batches, strict=False):
            if batch["batch"] <= before or batch["facts"] < 1:
                yield "number of a batch, or of its facts,"
            if batch["state"] not in states:
                yield f"state {batch['state'][:12]} among its artifacts"

    @cached_property
    def states(self) -> dict[str, int]:
        """The number of each state by its id."""
        model = next(m.id for m in self.manifests.values() if m.kind == "model")
        return {model: 0} | {batch["state"]: batch["batch"] for batch in self.record.summary["batches"]}

    def number(self, manifest: Manifest) -> int:
        """The number of the state that an artifact of the run was made of. Raises NothingToReport for another's."""
        return self._known(manifest, self.states.get(state := manifest.parent("state")), f"state {state[:12]}")

    def parent_of(self, manifest: Manifest, role: str) -> Manifest:
        """The artifact of the run in a role of another. Raises NothingToReport where it is none of the run's."""
        return self._known(manifest, self.manifests.get(id_ := manifest.parent(role)), f"{role} {id_[:12]}")

    def _known(self, manifest: Manifest, found: Known | None, what: str) -> Known:
        if found is None:
            raise NothingToReport(self.record.run_id, f"{what}, which {manifest.kind} {manifest.id[:12]} is of,")
        return found

    def of_kind(self, name: str) -> list[Manifest]:
        """The run's artifacts of a kind, in the order of the run."""
        return [manifest for manifest in self.manifests.values() if manifest.kind == name]

    @property
    def sources(self) -> dict[str, list[str]]:
        """Parents of the report by kind."""
        chosen = {name: [m.id for m in self.of_kind(name)] for name in READ}
        return {name: ids for name, ids in (chosen | {"requests": [self.all_requests]}).items() if ids}

    @cached_property
    def all_requests(self) -> str:
        """The artifact of all the run's requests with the prompts that evaluate them."""
        start = next(iter(self.states))
        for manifest in self.of_kind("evaluation"):
            if manifest.parent("state") == start:
                return manifest.parent("requests")
        raise NothingToReport(self.record.run_id, "evaluation of the base model")

    @cached_property
    def requests(self) -> dict[str, RequestRow]:
        """The requests by id in the order of editing, each with its `batch`."""
        rows = self.lake.read(self.all_requests).to_pylist()
        ends = list(accumulate(batch["facts"] for batch in self.record.summary["batches"]))
        if any(row["position"] >= ends[-1] for row in rows):
            raise NothingToReport(self.record.run_id, "batch of some requests")
        batch = [bisect(ends, row["position"]) + 1 for row in rows]
        return {row["request"]: row | {"batch": n} for row, n in zip(rows, batch, strict=True)}

    @cached_property
    def scores(self) -> list[PromptRow]:
        """The evaluations' rows with `n`, the number of the state; a prompt once a state.

        `edited` is that of the base model, which was asked all facts: a batch knows its own alone, and states compare
        only where the same neighbours are left out. `said_before` is the base model's answer to the same prompt.
        """
        seen: dict[tuple[object, ...], PromptRow] = {}
        edited: dict[tuple[str, ...], bool] = {}
        said: dict[tuple[str, ...], list[int] | None] = {}
        for n, row in sorted(self._at_states("evaluation"), key=lambda found: found[0]):
            key = (row["request"], row["metric"], row["prompt"])
            if n == 0:
                edited.setdefault(key, bool(row.get("edited")))
                said.setdefault(key, row.get("said"))
            shared = {"edited": edited.get(key, bool(row.get("edited"))), "said_before": said.get(key)}
            seen.setdefault((n, *key), row | {"n": n} | shared)
        return list(seen.values())

    @cached_property
    def perplexities(self) -> dict[int, list[PerplexityRow]]:
        """Rows of held-out documents by the number of the state."""
        found: dict[int, list[PerplexityRow]] = {}
        for n, row in self._at_states("perplexity"):
            found.setdefault(n, []).append(row)
        return found

    @cached_property
    def values(self) -> dict[str, TargetValueRow]:
        """How each request's target value was found, without the value itself."""
        columns = [name for name in kind("target_values").schema.names if name != "z"]
        rows = (row for m in self.of_kind("target_values") for row in self.lake.read(m.id, columns).to_pylist())
        return {row["request"]: row for row in rows}

    @cached_property
    def norms(self) -> list[NormRow]:
        """One row per state and layer: norms of change and weight."""
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
        """Each request's mean over its prompts in a state, for those that were evaluated and have the score."""
        return cases(self._by.get((n, metric), ()), column)

    def asked(self, n: int, metric: str) -> set[str]:
        """The requests that a metric evaluated in a state, with or without a score."""
        return {row["request"] for row in self._by.get((n, metric), ())}

    def plotted_score(self, metric: str) -> str:
        """The score of a metric that is plotted: success, or token accuracy without a comparison."""
        return "success" if "success" in self.columns(metric) else "token accuracy"

    def columns(self, metric: str) -> list[str]:
        """The scores of a metric."""
        return available(self._by.get((0, metric), ()))

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that were measured, in the order of the spec."""
        return list(dict.fromkeys(row["metric"] for row in self.scores))

    @cached_property
    def _by(self) -> dict[tuple[int, str], list[PromptRow]]:
        found: dict[tuple[int, str], list[PromptRow]] = {}
        for row in self.scores:
            found.setdefault((row["n"], row["metric"]), []).append(row)
        return found

    def prompts(self, request: str) -> dict[tuple[int, str], list[PromptRow]]:
        """A request's rows by state and metric."""
        return self._of_request.get(request, {})

    @cached_property
    def _of_request(self) -> dict[str, dict[tuple[int, str], list[PromptRow]]]:
        found: dict[str, dict[tuple[int, str], list[PromptRow]]] = {}
        for row in self.scores:
            found.setdefault(row["request"], {}).setdefault((row["n"], row["metric"]), []).append(row)
        return found

    @property
    def stop_at(self) -> float:
        """The loss at which a target value is done."""
        return float(self.record.spec["target_values"]["stop_at"])

    @property
    def clamp(self) -> float:
        """The greatest norm of δ, as a share of the hidden state's."""
        return float(self.record.spec["target_values"]["clamp"])

    def _at_states(self, name: str) -> Iterator[tuple[int, Any]]:
        for manifest in self.of_kind(name):
            number = self.number(manifest)
            for row in self.lake.read(manifest.id).to_pylist():
                yield number, row


def withdrawn_count(spec: Mapping[str, Any]) -> int:
    """How many of the facts a spec leaves out."""
    requests = spec.get("requests")
    names = requests.get("withdrawn") if isinstance(requests, Mapping) else None
    return len(names) if isinstance(names, list | tuple) else 0


def missing_settings(spec: Mapping[str, Any]) -> Iterator[str]:
    """The settings that a report uses and that are missing from a spec, or have another type.

    Nothing else is asked of it: specs that earlier versions took, and this one would refuse, have their reports.
    """
    for section, settings in READ_OF_SPEC.items():
        there = spec.get(section)
        if not isinstance(there, Mapping):
            yield section
            continue
        yield from (f"{section}.{name}" for name, holds in settings.items() if not holds(there.get(name)))
