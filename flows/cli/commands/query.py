"""editflow query. It imports neither torch nor Prefect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake


TABLE_ROWS, JSON_ROWS = 1000, 100_000
"""The default maximum number of rows."""
MAX_ROWS = 10**7
"""The maximum of --rows."""
MAX_BYTES = 64 * 2**20
"""The maximum size of an answer; as text and as Python objects it takes many times as much."""
Rows = Annotated[
    int | None,
    Parameter(
        help=f"Maximum number of rows (default: {TABLE_ROWS}, with --json {JSON_ROWS}).",
        validator=Number(gte=1, lte=MAX_ROWS),
        show_default=False,
    ),
]
Timeout = Annotated[float, Parameter(help="Stop after this many seconds.", validator=Number(gt=0, lte=86_400))]


def query(
    sql: str, /, *, timeout: Timeout = 60.0, rows: Rows = None, lake: LakeFlag = None, json: JsonFlag = False
) -> None:
    """Run a read-only SQL query (DuckDB) over everything in a lake.

    Views: artifacts, edges, runs, uses, requests, edits, evaluations, perplexities, spectra, states, corpus and more;
    FROM upstream('ID') and downstream('ID') walk the lineage. docs/lake.md lists their columns.

    Parameters
    ----------
    sql
        One SELECT, such as "SELECT kind, count(*) FROM artifacts GROUP BY kind".
    """
    from editflow.storage.queries.query_limits import QueryLimits
    from editflow.storage.queries.query_process import first_rows

    if not timeout > 0:  # NaN passes the validator
        raise UsageError(f"--timeout {timeout}: give seconds, such as --timeout 60")
    store = open_lake(lake)
    limit = rows or (JSON_ROWS if json else TABLE_ROWS)
    table, more = first_rows(store.uri, sql, QueryLimits(seconds=timeout, rows=limit, bytes=MAX_BYTES))
    table = table.rename_columns(distinct_names(table.column_names))
    try:
        found = table.to_pylist()
    except (OverflowError, ValueError) as error:
        raise UsageError(f"a value of the answer cannot be shown ({error}); cast its column to VARCHAR") from None
    if json:
        print_json(found)
    else:
        print_table(found, table.column_names)
    if more:
        hint = f"--rows {min(limit * 10, MAX_ROWS)} shows more, " if limit < MAX_ROWS else ""
        print_line(f"[yellow]there are more rows[/] than these {limit}: {hint}LIMIT asks for fewer")
    if json:
        return
    if artifact := _first_artifact(store, found):
        print_next(
            f"{shell_command('lineage', artifact[:12], lake=lake)} for what the first row's artifact was made from"
        )
    else:
        print_next("`editflow query --help` for the views, `--json` after a query for JSON")


def _first_artifact(lake: Lake, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The first artifact id in the first row."""
    from editflow.storage.json_records import is_id

    values = rows[0].values() if rows else ()
    return next((v for v in values if isinstance(v, str) and is_id(v) and lake.is_committed(v)), None)


def distinct_names(names: Sequence[str]) -> list[str]:
    """The column names without repetitions: the second column of a name gets the suffix _2, the third _3."""
    unique: list[str] = []
    for name in names:
        suffixed = (f"{name}_{n}" for n in count(2))
        unique.append(name if name not in unique else next(s for s in suffixed if s not in unique and s not in names))
    return unique
