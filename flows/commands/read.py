"""editflow runs, show, lineage, query: questions to a lake. None of them imports torch or Prefect."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.errors import UsageError
from flows.output import console, lake_folder, print_json, print_line, print_table
from flows.output import show as as_text

if TYPE_CHECKING:
    from storage.runs import RunRecord
    from storage.store import Lake

LakeFlag = Annotated[str | None, Parameter(env_var="EDITFLOW_LAKE", help="Where artifacts are kept (default: ./lake).")]
JsonFlag = Annotated[bool, Parameter(negative=(), help="Print JSON instead of a table.")]


def runs(*, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """List the runs of a lake, newest first."""
    from storage.runs import Runs

    records = sorted(Runs(open_lake(lake).files).all(), key=lambda r: r.started_at, reverse=True)
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
    elif rows:
        print_table(rows)
    else:
        print_line("no runs yet: `editflow run specs/demo.toml` makes the first")


def show(run: str, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show one run: how it ended, its results, and every artifact it created or reused.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest run), or `last`.
    """
    from dataclasses import asdict

    record = find_run(open_lake(lake), run)
    if json:
        print_json(asdict(record))
        return
    console().print(f"run {record.run_id} ({record.name}): {record.status} {as_text(record.message)}", markup=False)
    console().print(f"started {record.started_at}, finished {record.finished_at or '—'}", markup=False)
    if record.summary:
        from flows.commands.run import print_summary

        print_summary(record.summary)
    print_table([asdict(use) | {"artifact": use.artifact[:12]} for use in record.uses], title="artifacts")
    print_line(f"\n`editflow lineage ID` says what an artifact was made from; the final state is {record.state or '—'}")


def lineage(
    artifact: str,
    /,
    *,
    up: Annotated[bool, Parameter(negative=(), help="What it was made from (the default).")] = False,
    down: Annotated[bool, Parameter(negative=(), help="What was made from it.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show what an artifact was made from, or what was made from it, as a tree.

    Parameters
    ----------
    artifact
        An artifact's id, the first six or more digits of it, or a spec's name for the state its latest run made.
    """
    from dataclasses import asdict

    from rich.tree import Tree

    from storage.query import lineage as steps_of

    if up and down:
        raise UsageError("--up and --down exclude each other: choose one")
    store = open_lake(lake)
    steps = steps_of(store, named_state(store, artifact) or artifact, "down" if down else "up")
    if json:
        print_json([asdict(step) for step in steps])
        return
    children: dict[str | None, list[Any]] = {}
    for step in steps:
        children.setdefault(step.via, []).append(step)
    root = steps[0]
    tree = Tree(f"{root.kind} {root.id[:12]}")
    drawn = {root.id}
    # A list of what is left to draw instead of recursion: a chain has as many links as a run has batches.
    waiting = [(tree, step) for step in reversed(children.get(root.id, []))]
    while waiting:
        node, step = waiting.pop()
        seen = step.id in drawn
        above = " [dim](above)[/]" if seen and children.get(step.id) else ""
        branch = node.add(f"{step.role}: {step.kind} {step.id[:12]}{above}")
        if not seen:
            drawn.add(step.id)
            waiting += [(branch, below) for below in reversed(children.get(step.id, []))]
    console().print(tree)


def query(sql: str, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Answer a read-only SQL question (DuckDB) over everything in a lake.

    Views: artifacts, edges, runs, uses, requests, edits, evaluations, perplexities, spectra, states; docs/lake.md
    lists their columns.

    Parameters
    ----------
    sql
        One SELECT, such as "SELECT kind, count(*) FROM artifacts GROUP BY kind".
    """
    from storage.query import query as answer

    table = answer(open_lake(lake), sql)
    table = table.rename_columns(distinct(table.column_names))
    try:
        rows = table.to_pylist()
    except (OverflowError, ValueError) as error:
        raise UsageError(f"a value of the answer cannot be shown ({error}); cast its column to VARCHAR") from None
    if json:
        print_json(rows)
    else:
        print_table(rows, table.column_names)


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


def named_state(lake: Lake, name: str) -> str | None:
    """The state that a spec's name stands for."""
    from storage.refs import Refs

    with contextlib.suppress(ValueError):
        found = Refs(lake.files).get(name)
        return str(found[0]) if found else None
    return None


def find_run(lake: Lake, name: str, *, edited: bool = False) -> RunRecord:
    """The run of an id, the start of an id, a spec's name (its latest run) or `last`.

    With `edited`, of several runs the latest with an edited model.
    """
    from storage.errors import UnknownRun
    from storage.runs import Runs

    if not name.strip():
        raise UsageError("the run's name is empty: give an id, the start of one, a spec's name or `last`")
    known = Runs(lake.files)
    with contextlib.suppress(UnknownRun):
        return known.get(name)
    records = sorted(known.all(), key=lambda r: r.started_at)
    matching = [r for r in records if name in {"last", r.name} or r.run_id.startswith(name)]
    by_prefix = {r.run_id for r in matching if r.run_id.startswith(name)}
    if not matching or len(by_prefix) > 1:
        raise UsageError(
            f"{len(by_prefix)} runs match {name!r} in {lake.uri}: `editflow runs` lists them{_near(name, records)}"
        )
    preferred = [r for r in matching if r.state is not None] if edited else []
    return known.get((preferred or matching)[-1].run_id)  # which refuses a damaged record


def _near(name: str, records: Sequence[RunRecord]) -> str:
    import difflib

    names = [n for r in records for n in (r.run_id, r.name)]
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
