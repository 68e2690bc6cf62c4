"""`table.csv` of a comparison is parsed, and a file in another format is refused in one line."""

from __future__ import annotations

import pytest

from editflow.tasks.comparison.comparison_summary import parse_tables, text_rows
from editflow.tasks.errors import BadRecord

HEAD = "group,label,figure,unit,before,before low,before high,after,after low,after high\n"
ROW = "tiny,memit,efficacy probability,%,10,8,12,90,,\n"


def test_a_table_is_parsed() -> None:
    """Control."""
    (table,) = parse_tables(HEAD + ROW)
    cell = table.cells["memit"]["efficacy probability"]
    assert (cell.unit, cell.before, cell.after) == ("%", (10.0, 8.0, 12.0), (90.0, None, None))
    assert [row["method"] for row in text_rows(table, {})] == ["before all edits", "memit"]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n", HEAD.replace("figure", "figures") + ROW, HEAD + "tiny\n", HEAD + ROW.replace("90", "many"),
        HEAD + ROW.replace(",8,", ",low,"),
    ],
    ids=["other columns", "missing column", "short row", "word as a value", "word as a bound"],
)  # fmt: skip
def test_another_format_is_refused(text: str) -> None:
    with pytest.raises(BadRecord, match=r"^[^\n]*table\.csv[^\n]*$"):
        parse_tables(text)
