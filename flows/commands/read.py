"""editflow runs, show, query: questions to a lake. None of them imports torch or Prefect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.completers import folders, run_names
from flows.errors import UsageError
from flows.hints import first_run, is_file, print_next, question, typed
from flows.output import lake_folder, print_json, print_line, print_table, print_text
from flows.settings import typed_settings
from tasks.terminal import shortened

if TYPE_CHECKING:
    from storage.runs import RunRecord, Runs
    from storage.store import Lake
    from tasks.queue import Standing

LakeFlag = Annotated[
    str | None,
    Parameter(env_var="EDITFLOW_LAKE", help="Where artifacts are kept (default: ./lake).", completer=folders),
]
SetFlag = Annotated[list[str] | None, Parameter(name="--set", negative=(), converter=typed_settings)]
RunName = Annotated[str, Parameter(completer=run_names)]
JsonFlag = Annotated[bool, Parameter(negative=(), help="Print JSON instead of a table.")]


Limit = Annotated[int, Parameter(help="Only so many of the newest; 0 for all.", validator=Number(gte=0))]


def runs(*, limit: Limit = 100, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """List the runs of a lake, newest first."""
    from storage.runs import Runs

    records = list(islice(Runs(open_lake(lake).files).newest(), limit or None))
    whole = [r for r in records if r.status != "damaged"]
    rows = [
        {
            "run": r.run_id,
            "name": r.name,
            "status": r.status,
            "started": r.started_at[:19].replace("T", " "),
            "created": sum(use.how == "created" for use in r.uses),
            "reused": sum(use.how == "reused" for use in r.uses),
            "facts": r.summary.get("facts"),
            "message": r.message,
        }
        for r in records
    ]
    if json:
        print_json(rows)
        return
    if rows:
        print_table(rows)
    else:
        print_line("no runs yet")
    if whole:
        print_next(f"{typed('show', whole[0].run_id, lake=lake)} for the newest run's results and artifacts")
    else:
        print_next(f"{typed('doctor', lake=lake)} for what to do about damaged runs" if rows else first_run(lake))


def show(run: RunName, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show one run: how it ended, its results, and every artifact it created or reused.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest run), or `last`.
    """
    from dataclasses import asdict

    store = open_lake(lake)
    record = find_run(store, run)
    if json:
        print_json(asdict(record))
        return
    print_text(f"run {record.run_id} ({record.name}): {record.status} {shortened(record.message)}")
    print_text(f"started {record.started_at}, finished {record.finished_at or '—'}, final state {record.state or '—'}")
    if "settled" in record.summary:
        from flows.commands.apply import print_settled

        print_settled(record.summary)
    elif "before" in record.summary:
        from flows.commands.run import print_summary

        print_summary(asdict(record))
    print_table([asdict(use) | {"artifact": use.artifact[:12]} for use in record.uses], title="artifacts")
    if record.state is not None:
        ask = typed("ask", record.run_id, question(store, record.state), lake=lake)
        made = typed("lineage", record.state[:12], lake=lake)
        print_next(f"{ask} to hear both models, {made} for what the edited one was made from")
    elif record.spec_path and is_file(record.spec_path):
        print_next(f"{typed('run', record.spec_path, lake=lake)} to run it again: what it finished is reused")
    else:
        print_next(f"{typed('runs', lake=lake)} for the other runs")


IN_TABLE, IN_JSON = 1000, 100_000
"""Most rows of an answer that are shown unless told otherwise."""
MOST_ROWS = 10**7
"""Those that can be asked for."""
ANSWER = 64 * 2**20
"""Most bytes of an answer: as text and as objects it takes many times as much."""
Rows = Annotated[
    int | None,
    Parameter(
        help=f"Show so many rows at most (default: {IN_TABLE}, with --json {IN_JSON}).",
        validator=Number(gte=1, lte=MOST_ROWS),
        show_default=False,
    ),
]
Timeout = Annotated[float, Parameter(help="Stop after so many seconds.", validator=Number(gt=0, lte=86_400))]


def query(
    sql: str, /, *, timeout: Timeout = 60.0, rows: Rows = None, lake: LakeFlag = None, json: JsonFlag = False
) -> None:
    """Answer a read-only SQL question (DuckDB) over everything in a lake.

    Views: artifacts, edges, runs, uses, requests, edits, evaluations, perplexities, spectra, states, corpus and more;
    FROM upstream('ID') and downstream('ID') walk the lineage. docs/lake.md lists their columns.

    Parameters
    ----------
    sql
        One SELECT, such as "SELECT kind, count(*) FROM artifacts GROUP BY kind".
    """
    from storage.apart import first_rows
    from storage.limits import Limits

    if not timeout > 0:  # NaN is neither above 0 nor below
        raise UsageError(f"--timeout {timeout}: give seconds, such as --timeout 60")
    store = open_lake(lake)
    most = rows or (IN_JSON if json else IN_TABLE)
    table, more = first_rows(store.uri, sql, Limits(seconds=timeout, rows=most, bytes=ANSWER))
    table = table.rename_columns(distinct(table.column_names))
    try:
        found = table.to_pylist()
    except (OverflowError, ValueError) as error:
        raise UsageError(f"a value of the answer cannot be shown ({error}); cast its column to VARCHAR") from None
    if json:
        print_json(found)
    else:
        print_table(found, table.column_names)
    if more:
        further = f"--rows {min(most * 10, MOST_ROWS)} shows more, " if most < MOST_ROWS else ""
        print_line(f"[yellow]there are more rows[/] than these {most}: {further}LIMIT asks fewer")
    if json:
        return
    if known := _artifact(store, found):
        print_next(f"{typed('lineage', known[:12], lake=lake)} for what the first row's artifact was made from")
    else:
        print_next("`editflow query --help` for the views to ask, `--json` behind a query for programs")


def _artifact(lake: Lake, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The first artifact that the first row names."""
    from storage.identity import is_id

    values = rows[0].values() if rows else ()
    return next((v for v in values if isinstance(v, str) and is_id(v) and lake.is_committed(v)), None)


def distinct(names: Sequence[str]) -> list[str]:
    """Column names without repeats: the second of a name gets _2 at its end, the third _3."""
    from itertools import count

    given: list[str] = []
    for name in names:
        endings = (f"{name}_{n}" for n in count(2))
        given.append(name if name not in given else next(e for e in endings if e not in given and e not in names))
    return given


def open_lake(lake: str | None) -> Lake:
    """The lake of a flag, of EDITFLOW_LAKE, or ./lake; it must exist."""
    from storage.store import Lake

    place = lake_folder(lake)
    if not (Path(place) / "artifacts").is_dir():
        raise UsageError(f"no lake at {place}: run `editflow run specs/demo.toml` first, or give --lake")
    return Lake.open(place, create=False)


def released(lake: Lake, name: str) -> Standing | None:
    """Where the releases of a name stand; None for a name that has none."""
    from storage.refs import Refs
    from tasks.queue import Queue

    with contextlib.suppress(ValueError):
        return Queue(lake.files, name).standing() if Refs(lake.files, "releases").version(name) else None
    return None


def named_state(lake: Lake, name: str) -> str | None:
    """The state that is released under a name, or that a spec's name stands for."""
    from storage.refs import Refs

    release = released(lake, name)
    if release is not None and release.state is not None:
        return release.state
    with contextlib.suppress(ValueError):
        return Refs(lake.files).artifact(name)
    return None


def find_run(lake: Lake, name: str, *, edited: bool = False) -> RunRecord:
    """The run of an id, the start of an id, a spec's name (its latest run) or `last`.

    With `edited`, of several runs the latest with an edited model.
    """
    from storage.runs import Runs

    if not name.strip():
        raise UsageError("the run's name is empty: give an id, the start of one, a spec's name or `last`")
    known = Runs(lake.files)
    begun = [run for run in lake.files.list("runs") if run.startswith(name)]
    if name in begun:
        return known.get(name)
    # A record that cannot even say when its run started is nobody's latest.
    latest = (r for r in known.newest() if r.started_at and name in {"last", r.name})
    matching = map(known.get, begun) if begun else latest
    found = _preferred(matching, edited=edited) if len(begun) < 2 else None
    if found is None:
        raise UsageError(
            f"{len(begun)} runs match {name!r} in {lake.uri}: `editflow runs` lists them{_near(name, known)}"
        )
    return known.get(found.run_id)  # which refuses a damaged record


def _preferred(records: Iterable[RunRecord], *, edited: bool) -> RunRecord | None:
    """The first, or with `edited` the first that has a state, if there is one."""
    first = None
    for record in records:
        if record.state is not None or not edited:
            return record
        first = first or record
    return first


def _near(name: str, known: Runs) -> str:
    import difflib

    names = [n for r in islice(known.newest(), 200) for n in (r.run_id, r.name)]
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
