"""editflow query. It imports neither torch nor Prefect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake


IN_TABLE, IN_JSON = 1000, 100_000
"""Most rows of an answer that are shown by default."""
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
    from editflow.storage.queries.query_limits import Limits
    from editflow.storage.queries.query_process import first_rows

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
    from editflow.storage.json_records import is_id

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
