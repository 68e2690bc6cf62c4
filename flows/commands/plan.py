"""editflow plan"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands.read import JsonFlag, LakeFlag
from flows.hints import print_next, typed
from flows.output import lake_folder, print_json, print_line, print_table
from tasks.terminal import quoted

if TYPE_CHECKING:
    from flows.planning.plan import Plan


def plan(
    spec: Path,
    /,
    *,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Say what a run would do, before anything is loaded: layers and shapes, memory, disk and time, what is reused.

    Of the model only its configuration is read. Nothing is computed and nothing written.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml.
    set_
        Override a key of the spec, such as --set edit.batch_size=50; may be repeated.
    """
    from flows import server
    from flows.spec import load_spec

    checked = load_spec(spec, set_ or ())
    server.prepare()
    from flows.planning.plan import plan_spec, reading

    found = plan_spec(checked, reading(lake_folder(lake)))
    if json:
        print_json(found.to_json())
        return
    _print(found)
    words = [part for setting in set_ or () for part in ("--set", setting)]
    print_next(f"{typed('run', str(spec), *words, lake=lake)} to do it")


def _print(found: Plan) -> None:
    from rich.filesize import decimal

    model = found.model
    title = f"{model['source']}: {model['family']}, {model['parameters']:,} parameters in {model['layers']} "
    print_table(_sized(found.layers), title=f"{title}layers, {model['dtype']} on {model['device']}; edited are")
    total = {"stage": "all", "artifacts": found.reused + found.to_compute, "reused": found.reused,
             "to compute": found.to_compute, "seconds": found.seconds, "bytes": found.bytes}  # fmt: skip
    print_table(_sized([*found.stages, total]), title="stages, with seconds and disk of what is to be computed")
    held = " + ".join(f"{decimal(int(size))} {name}" for name, size in found.memory.items())
    print_line(f"\nmemory: [bold]{decimal(int(found.peak))}[/] at most = {quoted(held)}")
    print_line(quoted(found.basis))
    for text in found.warnings:
        print_line(f"[yellow]warning:[/] {quoted(text)}")


def _sized(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with bytes, and seconds of a run's length, for people."""
    from rich.filesize import decimal

    shown = []
    for row in rows:
        seconds = {"seconds": None if row["seconds"] is None else round(row["seconds"], 1)} if "seconds" in row else {}
        shown.append({**row, **seconds, "bytes": decimal(int(row["bytes"]))})
    return shown
