"""editflow export-run"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_line
from editflow.flows.console.output_files import named, target
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.records.runs import RunRecord


def export_run(
    run: RunName,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The file to write (default: NAME-run.zip in this folder).")] = None,
    openlineage: Annotated[bool, Parameter(negative=(), help="Write its lineage as OpenLineage events.")] = False,
    download: Annotated[bool, Parameter(negative=(), help="Fetch what the record names elsewhere.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Pack a run into one file that another machine can repeat: its record, the digest of every artifact, its files.

    Packed are the requests and what else it read, and the corpus where it is a file of at most 64 MiB. The model is
    named with its digest and stays outside, and so do payloads. Each file must still be what the run has read; one at
    another host is fetched only with --download, or after a question on a terminal.
    With --openlineage: one RunEvent a line, for catalogues that read OpenLineage (NAME-openlineage.jsonl).

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest run), or `last`.
    """
    store = open_lake(lake)
    record = find_run(store, run, edited=not openlineage)
    if openlineage:
        _events(store, record, out, lake, json=json)
        return
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.rerun_bundle import export_bundle, to_fetch
    from editflow.flows.spec.consent import ask_agreement, require_agreement

    wanted = to_fetch(record)
    require_agreement(wanted, download or ask_agreement(wanted), packed=False)
    with target(out, named(record.name, "-run.zip"), "packed run") as file:
        from editflow.flows.rerun import sources, spec_of
        from editflow.tasks.reproduction.run_bundle import write_bundle

        found = export_bundle(store, record)
        file.write(write_bundle(found))
    outside: dict[str, str] = {"model.source": spec_of(record).model.source}
    outside |= {key: source for key, source in sources(spec_of(record)).items() if key not in found.inputs}
    if json:
        print_json({"run": record.run_id, "file": str(file), "artifacts": len(found.manifests), "outside": outside,
                    "inputs": {key: one.name for key, one in found.inputs.items()}})  # fmt: skip
        return
    names = ", ".join(one.name for one in found.inputs.values())
    print_line(f"run [bold]{record.run_id}[/] with {quoted(names)} in [bold]{quoted(file)}[/]")
    print_line("not in it: " + quoted(", ".join(f"{key} = {source}" for key, source in outside.items())))
    print_next(f"{typed('rerun', str(file))} to repeat it, here or on another machine")


def _events(store: Lake, record: RunRecord, out: Path | None, lake: str | None, *, json: bool) -> None:
    from editflow.tasks.lineage.openlineage import events, lines

    with target(out, named(record.name, "-openlineage.jsonl"), "events") as file:
        found = events(store, record)
        file.write(lines(found))
    if json:
        print_json({"run": record.run_id, "file": str(file), "events": len(found)})
        return
    print_line(f"{len(found)} events of run [bold]{record.run_id}[/] in [bold]{quoted(file)}[/]")
    print_next(
        f"{typed('show', record.run_id, lake=lake)} for the run; send each line to a catalogue's lineage endpoint"
    )
