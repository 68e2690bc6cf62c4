"""The plan of a spec, without loading weights: layers, stages, bytes, seconds, memory and reuse."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.filesize import decimal

from editflow.editing.metrics.registry import metric
from editflow.editing.models.loading import DTYPES
from editflow.editing.requests.record import EditRequest
from editflow.flows.console.errors import UsageError
from editflow.flows.edit_model import edit
from editflow.flows.pipeline.facts import load_facts
from editflow.flows.pipeline.tracked_run import use_threads
from editflow.flows.planning.dry_run import DryRun, PlannedArtifact, no_record
from editflow.flows.planning.machine_speed import Machine
from editflow.flows.planning.plan_rows import ArtifactRow, LayerRow, ModelRow, StageRow
from editflow.flows.planning.timings import Times, stage_timings
from editflow.flows.planning.workload import Scale
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.variants import Contender
from editflow.storage.artifacts.store import Lake
from editflow.storage.files import Files
from editflow.tasks.models.meta_model import MetaModel, meta_model
from editflow.tasks.sources.corpus import corpus_path

PROCESS = 900_000_000
"""Bytes of a process that has imported torch, transformers and Prefect, without a model."""
CHARACTERS = 4
"""Approximate number of characters per token."""
BZ2 = 4
"""Bytes of a dump per byte of its compressed file."""
MAX_MOMENT_BYTES = 10e9
"""Bytes of all partitions' moments above which fewer partitions are suggested."""
FEWER_PARTITIONS = 5
"""The suggested number of partitions."""


@dataclass(frozen=True)
class Plan:
    """The plan of a spec.

    `memory` is bytes by use, `peak` their sum. `basis` explains the source of the seconds, which are None if the
    device is not available.
    """

    name: str
    model: ModelRow
    layers: Sequence[LayerRow]
    stages: Sequence[StageRow]
    artifacts: Sequence[ArtifactRow]
    seconds: float | None
    bytes: float
    reused: int
    to_compute: int
    memory: Mapping[str, float]
    peak: float
    basis: str
    warnings: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def open_readonly(place: str) -> Lake:
    """Open a lake for reading; nothing is created. Raises UsageError for a file."""
    folder = Path(place)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"lake {place} is a file: give a folder with --lake")
    return Lake(Files(place))


def plan_spec(spec: RunSpec, lake: Lake) -> Plan:
    """Plan a spec with all its seeds in a dry run of its flow.

    Reads the facts, the digest of the corpus and the model's configuration, but no weights, and writes nothing.
    """
    return _plan(spec, _dry_run(spec, lake, ()), lake)


def plan_contenders(contenders: Sequence[Contender], lake: Lake) -> list[Plan]:
    """Plan each row of a comparison; artifacts of earlier rows count as reused in later ones."""
    made: dict[tuple[str, str], set[str]] = {}
    plans = []
    for one in contenders:
        # Models that were never read share a placeholder id, so their artifacts are kept apart by source.
        earlier = made.setdefault((one.spec.model.source, one.spec.model.dtype), set())
        pipe = _dry_run(one.spec, lake, earlier)
        plans.append(_plan(one.spec, pipe, lake))
        earlier.update(pipe.planned)
    return plans


def _dry_run(spec: RunSpec, lake: Lake, made_earlier: Collection[str]) -> DryRun:
    """The dry run of the flow for every seed."""
    use_threads(spec)
    model = meta_model(lake, spec.model.source, spec.model.dtype)
    one, *others = spec.each()
    pipe = dry_run(one, lake, model, load_facts(one.requests), made_earlier)
    for other in others:
        pipe.prefix = f"{other.name}: "
        edit(other, pipe)
    return pipe


def _plan(spec: RunSpec, pipe: DryRun, lake: Lake) -> Plan:
    machine = Machine.here(lake.uri, spec.model.dtype, spec.model.device)
    return _build_plan(spec, pipe, machine, stage_timings(lake, pipe.scale, machine))


def dry_run(
    spec: RunSpec, lake: Lake, model: MetaModel, facts: Sequence[EditRequest], made_earlier: Collection[str] = ()
) -> DryRun:
    """The dry run of the flow of a single run."""
    scale = scale_of(spec, model, facts)
    pipe = DryRun(
        lake, no_record(spec.name), spec.model.device, lambda _use, _ref: None, meta_model=model, scale=scale,
        made_earlier=made_earlier,
    )  # fmt: skip
    edit(spec, pipe, facts)
    return pipe


def scale_of(spec: RunSpec, model: MetaModel, facts: Sequence[EditRequest]) -> Scale:
    """The sizes of model and facts for the table of costs."""
    names = {*spec.evaluation.metrics, *spec.evaluation.after_batch, "paraphrase", "neighbourhood"}
    editable = model.model
    widths = [(int(w.shape[0]), int(w.shape[1])) for w in map(editable.weight, range(editable.depth))]
    return Scale(
        spec, model.block_parameters, model.head_parameters, DTYPES[spec.model.dtype].itemsize, widths,
        len(editable.model.state_dict()),
        asked={name: fmean(len(metric(name).asks(fact)) for fact in facts) for name in names},
        prompt=fmean(len(fact.filled) for fact in facts) / CHARACTERS,
        target=fmean(len(fact.target_new) for fact in facts) / CHARACTERS + 1,
        corpus=_corpus(spec.corpus.source),
    )  # fmt: skip


def _corpus(source: str) -> float:
    """Bytes of the text of a corpus; infinite if unknown."""
    if source.startswith("hub:"):
        return math.inf
    path = corpus_path(source)
    return path.stat().st_size * (BZ2 if path.suffix == ".bz2" else 1)


def _build_plan(spec: RunSpec, pipe: DryRun, machine: Machine, times: Times) -> Plan:
    artifacts = [_artifact(piece, machine, times) for piece in pipe.planned.values()]
    stages = list(_stages(artifacts))
    memory = memory_of(pipe)
    peak = sum(memory.values())
    compute = [row for row in artifacts if not row["reused"]]
    total = _sum(row["seconds"] for row in compute)
    room = sum(row["bytes"] for row in compute)
    return Plan(
        spec.name, _model(spec, pipe), list(_layers(spec, pipe)), stages, artifacts, total, room,
        len(artifacts) - len(compute), len(compute), memory, peak, _basis(spec, times, stages, total),
        list(_warnings(spec, pipe, machine, room, peak)),
    )  # fmt: skip


def _artifact(piece: PlannedArtifact, machine: Machine, times: Times) -> ArtifactRow:
    estimate = machine.seconds(piece.size)
    recorded, estimated = times.get(piece.stage, (1.0, 1.0))
    seconds = 0.0 if piece.reused else None if estimate is None else estimate * recorded / estimated
    return {"stage": piece.stage, "label": piece.label, "id": piece.id, "reused": piece.reused,
            "seconds": seconds, "bytes": round(piece.bytes)}  # fmt: skip


def _stages(artifacts: Sequence[ArtifactRow]) -> Iterator[StageRow]:
    """One row per stage, in the order of a run."""
    for name in dict.fromkeys(row["stage"] for row in artifacts):
        own = [row for row in artifacts if row["stage"] == name]
        compute = [row for row in own if not row["reused"]]
        yield {
            "stage": name, "artifacts": len(own), "reused": len(own) - len(compute), "to compute": len(compute),
            "seconds": _sum(row["seconds"] for row in compute), "bytes": sum(row["bytes"] for row in compute),
        }  # fmt: skip


def _sum(seconds: Iterable[float | None]) -> float | None:
    """The sum, None if one of them is unknown."""
    known = list(seconds)
    return None if None in known else sum(one for one in known if one is not None)


def _model(spec: RunSpec, pipe: DryRun) -> ModelRow:
    about, model = pipe.meta_model.about, pipe.meta_model.model
    return {
        "source": spec.model.source, "family": model.family.name, "model_type": about.model_type,
        "parameters": about.parameters, "layers": about.depth, "dtype": spec.model.dtype,
        "device": spec.model.device, "id": pipe.meta_model.id,
    }  # fmt: skip


def _layers(spec: RunSpec, pipe: DryRun) -> Iterator[LayerRow]:
    model = pipe.meta_model.model
    for layer in spec.edit.layers:
        d_out, d_in = pipe.scale.widths[layer]
        size = d_out * d_in * pipe.scale.element
        yield {"layer": layer, "tensor": model.tensor_name(layer), "d_out": d_out, "d_in": d_in,
               "dtype": spec.model.dtype, "bytes": size}  # fmt: skip


def memory_of(pipe: DryRun) -> dict[str, float]:
    """Bytes by use: the process, the weights with a copy of the edited ones, the largest stage."""
    scale = pipe.scale
    weights = scale.element * (pipe.meta_model.about.parameters + scale.weights(scale.layers))
    compute = [piece for piece in pipe.planned.values() if not piece.reused]
    largest = max(compute, key=lambda piece: piece.size.memory, default=None)
    stage = {largest.stage: largest.size.memory} if largest else {}
    return {"process": PROCESS, "weights": weights, **stage} if compute else {"process": PROCESS}


def _basis(spec: RunSpec, times: Times, stages: Sequence[StageRow], total: float | None) -> str:
    if total is None:
        return f"no time is estimated: model.device = {spec.model.device!r} is not available here"
    asked = [row["stage"] for row in stages if row["to compute"]]
    known = [stage for stage in asked if stage in times]
    if not any(row["to compute"] for row in stages):
        return "nothing is left to compute"
    shapes = "shapes and the speed at which this machine multiplies matrices"
    if not known:
        return f"seconds from {shapes}: accurate to a factor of three; better once this lake has timed a run"
    recorded = f"seconds of {', '.join(known)} scaled from times recorded in this lake"
    return recorded if known == asked else f"{recorded}; of the others from {shapes}"


def _warnings(spec: RunSpec, pipe: DryRun, machine: Machine, room: float, peak: float) -> Iterator[str]:
    if pipe.meta_model.missing:
        yield pipe.meta_model.missing
    if pipe.meta_model.id is None:
        yield "this lake has never read the model: ids that depend on it, and their reuse, are not known yet"
    if machine.model is None:
        yield f"model.device = {spec.model.device!r} is not available here: this machine refuses to run it"
    if room > machine.disk:
        yield f"the lake's disk has {decimal(machine.disk)} free and needs {decimal(int(room))}: free some, or move it"
    if spec.model.device == "cpu" and peak > machine.memory:
        yield f"{decimal(machine.memory)} of memory are free, {decimal(int(peak))} are needed: {_remedy(pipe)}"
    parts = [piece for piece in pipe.planned.values() if piece.stage == "second-moment" and not piece.reused]
    held = sum(piece.bytes for piece in parts)
    if held > MAX_MOMENT_BYTES and spec.corpus.partitions > FEWER_PARTITIONS:
        fewer = held * FEWER_PARTITIONS / spec.corpus.partitions
        yield (
            f"corpus.partitions = {spec.corpus.partitions}: the moments of the parts alone fill {decimal(int(held))}; "
            f"corpus.partitions = {FEWER_PARTITIONS} would fill {decimal(int(fewer))}, but a killed run could lose more"
        )


def _remedy(pipe: DryRun) -> str:
    stage = next(iter([name for name in memory_of(pipe) if name not in ("process", "weights")]), "")
    remedies = {
        "target-values": "lower target_values.tokens_per_pass",
        "perplexity": "lower corpus.window",
    }
    return remedies.get(stage, "end other programs, edit fewer layers at once, or take another machine")
