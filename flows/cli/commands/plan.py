"""editflow plan"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.planning.plan import Plan
    from editflow.flows.planning.plan_rows import ModelRow
    from editflow.flows.spec.variants import Contender

# The keys are column headings too, hence the space in one.
Totals = TypedDict(
    "Totals", {"artifacts": int, "reused": int, "to compute": int, "seconds": float | None, "bytes": float}
)
"""A plan in one row; seconds and bytes are of the artifacts to compute."""


def plan(spec: Path, /, *, set_: SetFlag = None, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show what a run would do, before it loads anything: layers and shapes, memory, disk, time, reused artifacts.

    Only the configuration of the model is read. Nothing is computed and nothing is written.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml. With [[variants]], each variant is one row.
    """
    check_working_folder()
    from editflow.flows.orchestration import temporary_server
    from editflow.flows.spec.variants import load_spec_or_contenders

    words = [part for setting in set_ or () for part in ("--set", setting)]
    loaded = load_spec_or_contenders(spec, set_ or ())
    if isinstance(loaded, list):
        _print_variants(loaded, lake, json=json)
        if not json:
            print_next(f"{shell_command('compare', str(spec), *words, lake=lake)} to run them")
        return
    temporary_server.prepare()
    from editflow.flows.planning.plan import open_readonly, plan_spec

    found = plan_spec(loaded, open_readonly(lake_folder(lake)))
    if json:
        print_json(found.to_json())
        return
    _print_plan(found)
    print_next(f"{shell_command('run', str(spec), *words, lake=lake)} to run it")


def _print_variants(contenders: Sequence[Contender], lake: str | None, *, json: bool) -> None:
    """Print a row for each variant, and a total."""
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.compare import check_models
    from editflow.flows.planning.plan import open_readonly, plan_contenders

    store = open_readonly(lake_folder(lake))
    check_models(contenders, store)
    plans = plan_contenders(contenders, store)
    labelled = [(each.label, plan) for each, plan in zip(contenders, plans, strict=True)]
    if json:
        print_json({"variants": [{"label": label, **plan.to_json()} for label, plan in labelled]})
        return
    totals = [_totals(plan) for plan in plans]
    seconds = [row["seconds"] for row in totals if row["seconds"] is not None]
    together: Totals = {
        "artifacts": sum(row["artifacts"] for row in totals),
        "reused": sum(row["reused"] for row in totals),
        "to compute": sum(row["to compute"] for row in totals),
        "seconds": sum(seconds) if len(seconds) == len(totals) else None,
        "bytes": sum(row["bytes"] for row in totals),
    }
    rows = [{"variant": label, **_totals(plan), "memory": plan.peak} for label, plan in labelled]
    rows.append({"variant": "all", **together, "memory": max(plan.peak for plan in plans)})
    print_table(_readable(rows), title="variants; shared artifacts count for the first variant that needs them")
    for text in dict.fromkeys(text for plan in plans for text in (plan.basis, *plan.warnings)):
        print_line(quoted(text))


def _totals(plan: Plan) -> Totals:
    return {"artifacts": plan.reused + plan.to_compute, "reused": plan.reused, "to compute": plan.to_compute,
            "seconds": plan.seconds, "bytes": plan.bytes}  # fmt: skip


def _print_plan(found: Plan) -> None:
    from rich.filesize import decimal

    print_table(_readable(found.layers), title=_model_title(found.model))
    stages = [*found.stages, {"stage": "all", **_totals(found)}]
    print_table(_readable(stages), title="stages; seconds and bytes are of the artifacts to compute")
    parts = " + ".join(f"{decimal(int(size))} {name}" for name, size in found.memory.items())
    print_line(f"\nmemory: [bold]{decimal(int(found.peak))}[/] at most = {quoted(parts)}")
    print_line(quoted(found.basis))
    for text in found.warnings:
        print_line(f"[yellow]warning:[/] {quoted(text)}")


def _model_title(model: ModelRow) -> str:
    return (
        f"{model['source']}: {model['family']}, {model['parameters']:,} parameters in {model['layers']} layers, "
        f"{model['dtype']} on {model['device']}; the edited layers"
    )


def _readable(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with readable sizes and rounded seconds, for a table."""
    from rich.filesize import decimal

    shown = []
    for row in rows:
        seconds = {"seconds": None if row["seconds"] is None else round(row["seconds"], 1)} if "seconds" in row else {}
        sizes = {name: decimal(int(row[name])) for name in ("bytes", "memory") if name in row}
        shown.append({**row, **seconds, **sizes})
    return shown
