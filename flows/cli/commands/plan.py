"""editflow plan"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.planning.plan import Plan
    from editflow.flows.planning.plan_rows import ModelRow
    from editflow.flows.spec.variants import Contender


def plan(
    spec: Path,
    /,
    *,
    set_: SetFlag = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show what a run would do, before anything is loaded: layers and shapes, memory, disk and time, what is reused.

    Of the model only its configuration is read. Nothing is computed and nothing written.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml; with [[variants]], each of them is one row.
    set_
        Override a key of the spec, such as --set edit.batch_size=50; may be repeated.
    """
    check_working_folder()
    from editflow.flows.orchestration import temporary_server
    from editflow.flows.spec.variants import load_spec_or_contenders

    words = [part for setting in set_ or () for part in ("--set", setting)]
    loaded = load_spec_or_contenders(spec, set_ or ())
    if isinstance(loaded, list):
        _compared(loaded, lake, json=json)
        if not json:
            print_next(f"{typed('compare', str(spec), *words, lake=lake)} to do it")
        return
    temporary_server.prepare()
    from editflow.flows.planning.plan import open_readonly, plan_spec

    found = plan_spec(loaded, open_readonly(lake_folder(lake)))
    if json:
        print_json(found.to_json())
        return
    _print(found)
    print_next(f"{typed('run', str(spec), *words, lake=lake)} to do it")


def _compared(contenders: Sequence[Contender], lake: str | None, *, json: bool) -> None:
    """Every variant, and all of them together."""
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.compare import check_models
    from editflow.flows.planning.plan import open_readonly, plan_contenders

    place = open_readonly(lake_folder(lake))
    check_models(contenders, place)
    plans = plan_contenders(contenders, place)
    named = list(zip([one.label for one in contenders], plans, strict=True))
    if json:
        print_json({"variants": [{"label": label, **plan.to_json()} for label, plan in named]})
        return
    rows = [{"variant": label, **_summed(plan)} for label, plan in named]
    keys = ("artifacts", "reused", "to compute", "seconds", "bytes")
    seconds = [row["seconds"] for row in rows]
    total = {key: sum(row[key] for row in rows) for key in keys if key != "seconds" or None not in seconds}
    rows.append({"variant": "all", **total, "seconds": total.get("seconds"), "memory": max(p.peak for p in plans)})
    print_table(_sized(rows), title="variants, with what they share counted for the first that needs it")
    for text in dict.fromkeys(text for plan in plans for text in (plan.basis, *plan.warnings)):
        print_line(quoted(text))


def _summed(plan: Plan) -> dict[str, Any]:
    return {"artifacts": plan.reused + plan.to_compute, "reused": plan.reused, "to compute": plan.to_compute,
            "seconds": plan.seconds, "bytes": plan.bytes, "memory": plan.peak}  # fmt: skip


def _print(found: Plan) -> None:
    from rich.filesize import decimal

    print_table(_sized(found.layers), title=_title(found.model))
    summed = _summed(found)
    del summed["memory"]
    total = {"stage": "all", **summed}
    print_table(_sized([*found.stages, total]), title="stages, with seconds and disk of what is to be computed")
    held = " + ".join(f"{decimal(int(size))} {name}" for name, size in found.memory.items())
    print_line(f"\nmemory: [bold]{decimal(int(found.peak))}[/] at most = {quoted(held)}")
    print_line(quoted(found.basis))
    for text in found.warnings:
        print_line(f"[yellow]warning:[/] {quoted(text)}")


def _title(model: ModelRow) -> str:
    title = f"{model['source']}: {model['family']}, {model['parameters']:,} parameters in {model['layers']} "
    return f"{title}layers, {model['dtype']} on {model['device']}; edited are"


def _sized(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with bytes and memory, and seconds of a run's length, for people."""
    from rich.filesize import decimal

    shown = []
    for row in rows:
        seconds = {"seconds": None if row["seconds"] is None else round(row["seconds"], 1)} if "seconds" in row else {}
        sizes = {name: decimal(int(row[name])) for name in ("bytes", "memory") if name in row}
        shown.append({**row, **seconds, **sizes})
    return shown
