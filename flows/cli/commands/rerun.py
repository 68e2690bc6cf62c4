"""editflow rerun"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.flows.console.output_files import new_folder
from editflow.storage.address import Address
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.tasks.reproduction.reproduction import Repetition

MOST = 20


def rerun(
    run: RunName,
    /,
    *,
    into: Annotated[str | None, Parameter(help="The fresh lake; a temporary one unless given.")] = None,
    threads: Annotated[int | None, Parameter(help="As many as the run had unless given.",
                                             validator=Number(gte=1))] = None,
    model: Annotated[str | None, Parameter(help="Of a packed run: where its model is here.")] = None,
    corpus: Annotated[str | None, Parameter(help="Of a packed run: where its corpus is here.")] = None,
    download: Annotated[bool, Parameter(negative=(), help="Fetch what the record names elsewhere.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Repeat a run from its record in a fresh lake, and compare every artifact with the recorded one.

    Exit code 0 if all have the same content, 1 if not: then the distances of the numbers are printed, and what
    differs in versions, machine and threads. The outcome is kept in the lake, as a child of the run's state.

    A file of `editflow export-run` needs neither the run's lake nor its files: it is compared with the digests in it,
    and where --lake names no lake yet, that is the fresh one. What a record names on the hub or at other hosts is
    fetched only with --download, or after a question on a terminal. Run again after it was killed, it continues where
    it was.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest completed run), `last`, or a packed run's file.
    """
    model, corpus = (Address(given) if given else None for given in (model, corpus))
    place = None if into is None else _folder(into, "--into")
    if "." in run or "/" in run:
        found, hint = _packed(
            Path(run), _fresh(place, lake), {"threads": threads, "model": model, "corpus": corpus, "download": download}
        )
    else:
        given = {"--model": model, "--corpus": corpus}
        if lost := [flag for flag, value in given.items() if value is not None]:
            raise UsageError(f"{lost[0]} is for the file of a packed run: run {run} says itself what it was made from")
        found, hint = _recorded(run, place, threads, lake, download)
    _say(found, hint, json=json)
    if not found.same:
        sys.exit(1)


def _recorded(
    run: str, into: Path | None, threads: int | None, lake: str | None, download: bool
) -> tuple[Repetition, str]:
    """The repetition of a run of a lake, and what to type next."""
    from editflow.flows.orchestration import temporary_server

    store = open_lake(lake)
    record = find_run(store, run, edited=True)
    temporary_server.prepare()
    temporary_server.reap()
    from editflow.flows.rerun import sources, spec_here
    from editflow.flows.spec.consent import ask_agreement, recorded_downloads, require_agreement

    spec = spec_here(record)  # what cannot be repeated is reported before a server starts
    wanted = recorded_downloads(spec, sources(spec))
    download = download or ask_agreement(wanted)
    require_agreement(wanted, download, packed=False)
    temporary_server.start()
    from editflow.flows.rerun import rerun as repeat

    found = repeat(record.run_id, store.uri, str(into) if into else None, threads, download)
    return found, f"{typed('show', record.run_id, lake=lake)} for the run that was repeated"


def _packed(file: Path, into: Path | None, here: dict[str, Any]) -> tuple[Repetition, str]:
    """The same of a packed run; `here` is what this machine adds to it."""
    from editflow.flows.orchestration import temporary_server
    from editflow.tasks.reproduction.run_bundle import read_bundle

    bundle = read_bundle(file)
    temporary_server.prepare()
    temporary_server.reap()
    from editflow.flows.rerun_bundle import rerun_bundle, to_download
    from editflow.flows.spec.consent import ask_agreement, require_agreement

    wanted = to_download(bundle, model=here["model"], corpus=here["corpus"])
    here["download"] = here["download"] or ask_agreement(wanted)
    require_agreement(wanted, here["download"])  # what is not agreed to is reported before a server starts
    temporary_server.start()
    found = rerun_bundle(str(file), str(into) if into else None, **here)
    if into is None:
        return found, f"{typed('rerun', str(file), '--into', 'again')} to keep what is made"
    return found, f"{typed('runs', lake=str(into))} for the run that repeated it"


def _folder(given: str, flag: str) -> Path:
    """The folder of a fresh lake, checked before anything is started."""
    from editflow.flows.pipeline.fresh_lake import check_unused

    found = new_folder(Path(lake_folder(given, flag)), flag)
    check_unused(found)
    return found


def _fresh(into: Path | None, lake: str | None) -> Path | None:
    """Where a packed run is repeated: no lake that is there already, but for one that a repetition left unfinished."""
    from editflow.flows.pipeline.fresh_lake import is_another_lake

    if into is not None or lake is None:
        return into
    return None if is_another_lake(Path(lake_folder(lake))) else _folder(lake, "--lake")


def _say(found: Repetition, hint: str, *, json: bool) -> None:
    from editflow.flows.rerun import summary

    if json:
        print_json({"run": found.run, "same": found.same, "rows": found.rows, "explains": found.explains})
        return
    columns = ["stage", "artifact", "largest", "relative", "note"]
    rows = [row | {"artifact": row["artifact"][:12]} for row in found.rows if not row["same"]]
    if rows:
        more = f", the first {MOST} of {len(rows)}" if len(rows) > MOST else ""
        print_table(rows[:MOST], columns, title=f"came out differently{more}")
    if rows and found.explains:
        print_table(found.explains, title="what differs since then: one was then, other is now")
    print_line(quoted(summary(found)))
    print_next(hint)
