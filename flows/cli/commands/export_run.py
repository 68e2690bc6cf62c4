"""editflow export-run"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.next_steps import print_next, shell_command
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
    download: Annotated[bool, Parameter(negative=(), help="Download what the record names on other hosts.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Export a run to one file that `editflow rerun` repeats on any machine.

    This bundle holds the run's record, the digest of every artifact, the requests and other input files, and the
    corpus if it is a file of at most 64 MiB. It holds no payloads, and only the digest of the model. An input file that
    has changed since the run is refused; one on another host is downloaded only with --download, or after a question
    on a terminal. --openlineage writes one RunEvent per line instead, for catalogues (NAME-openlineage.jsonl).

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest run), or `last`.
    """
    store = open_lake(lake)
    record = find_run(store, run, edited=not openlineage)
    if openlineage:
        _export_events(store, record, out, lake, json=json)
        return
    from editflow.flows.reproduction.export_bundle import export_bundle, export_downloads
    from editflow.flows.spec.consent import ask_agreement, require_agreement
    from editflow.flows.spec.recorded_spec import MODEL_SOURCE, input_sources, recorded_spec
    from editflow.tasks.reproduction.run_bundle import write_bundle

    wanted = export_downloads(record)
    require_agreement(wanted, download or ask_agreement(wanted), packed=False)
    with target(out, named(record.name, "-run.zip"), "bundle") as file:
        bundle = export_bundle(store, record)
        file.write(write_bundle(bundle))
    spec = recorded_spec(record)
    outside: dict[str, str] = {MODEL_SOURCE: spec.model.source}
    outside |= {key: source for key, source in input_sources(spec).items() if key not in bundle.inputs}
    inputs = {key: one.name for key, one in bundle.inputs.items()}
    if json:
        print_json({"run": record.run_id, "file": str(file), "artifacts": len(bundle.manifests), "outside": outside,
                    "inputs": inputs})  # fmt: skip
        return
    print_line(f"run [bold]{record.run_id}[/] with {quoted(', '.join(inputs.values()))} in [bold]{quoted(file)}[/]")
    print_line("not in it: " + quoted(", ".join(f"{key} = {source}" for key, source in outside.items())))
    print_next(f"{shell_command('rerun', str(file))} to repeat it, here or on another machine")


def _export_events(store: Lake, record: RunRecord, out: Path | None, lake: str | None, *, json: bool) -> None:
    from editflow.tasks.lineage.openlineage import events, lines

    with target(out, named(record.name, "-openlineage.jsonl"), "events") as file:
        found = events(store, record)
        file.write(lines(found))
    if json:
        print_json({"run": record.run_id, "file": str(file), "events": len(found)})
        return
    print_line(f"{len(found)} events of run [bold]{record.run_id}[/] in [bold]{quoted(file)}[/]")
    print_next(
        f"{shell_command('show', record.run_id, lake=lake)} for the run; send each line to a catalogue's endpoint"
    )
