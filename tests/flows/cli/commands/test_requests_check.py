"""`editflow requests check`: valid and invalid files of every format, and long files in little memory."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.tiny_world import editflow

from editflow.editing.requests.validation import OTHERS, Findings, find_faults
from editflow.tasks.sources.records import read_records

pytestmark = pytest.mark.exhaustive

ROWS = [
    {"prompt": f"Where is {name}?", "subject": name, "target_new": "Rome", "ground_truth": "Nice"}
    for name in ("Ann", "Bo")
]


SOUND = json.dumps(ROWS[0]).encode()


def written(folder: Path, form: str) -> Path:
    path = folder / f"facts.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif form == "json":
        path.write_text("\ufeff" + json.dumps(ROWS, indent=1), encoding="utf-8")
    elif form == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*ROWS[0], "paraphrase_prompts"])
            writer.writeheader()
            writer.writerows(row | {"paraphrase_prompts": '["Ann, where?"]'} for row in ROWS)
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_every_format_is_read(tmp_path: Path, form: str) -> None:
    answer = editflow("requests", "check", written(tmp_path, form), "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["dataset"], answer.json["facts"], answer.json["faults"]) == ("flat", 2, [])
    assert answer.json["relations"][0]["paraphrases"] == (2 if form == "csv" else 0)
    assert editflow("requests", "check", f"file://{written(tmp_path, form)}").code == 0


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("cut.json", b'[{"prompt": "a {}", "subject"', ["cut.json, record 1", "not JSON"]),
        ("tail.json", b"[" + SOUND + b"] x", ["tail.json, record 2", "not JSON"]),
        ("cut.jsonl", SOUND + b'\n{"prom', ["cut.jsonl, line 2", "not JSON"]),
        ("columns.csv", b"a,b\n1,2\n", ["columns.csv, record 1", "match no data set", "it has a, b"]),
        ("twice.csv", b"prompt,subject,subject\nx,y,z\n", ["twice.csv", "column 'subject' twice"]),
        ("number.jsonl", b'{"prompt": "{}", "subject": "x", "alt": 5}', ["new target is a number; make it text"]),
        ("cells.csv", b"prompt,subject\nx\n", ["cells.csv, record 1", "number of cells"]),
        ("mixed.jsonl", SOUND + '\n{"a": "é"}\n'.encode() + b'{"a": "\xe9"}\n', ["mixed.jsonl, line 3", "not UTF-8"]),
        ("empty.jsonl", b"", ["empty.jsonl holds no requests"]),
        ("empty.json", b"[]", ["empty.json holds no requests"]),
        ("no.parquet", b"PAR1 not", ["no.parquet: not Parquet"]),
        ("mixed.json", b"[" + SOUND + ',{"a": "é"}'.encode() + b',{"a": "\xe9"}]', ["mixed.json, record 3: not UTF-8"]),
        ("mixed.csv", "prompt,subject,alt\n{} é,A,x\n".encode() + b"{} \xe9,B,x\n", ["mixed.csv, line 3: not UTF-8"]),
        ("wide.json", "[]".encode("utf-16"), ["wide.json, line 1: not UTF-8"]),
        ("twice.jsonl", b'{"prompt": "x", "prompt": "y"}', ["twice.jsonl, line 1: field 'prompt' occurs twice"]),
        ("twice.json", b'[{"a": [{"b": 1}, {"b": 2, "b": 3}]}]', ["record 1: field 'b' occurs twice"]),
        ("whole.json", b'{\n "data": []\n}', ["whole.json, line 1: not JSON", "as one array"]),
        ("empty.csv", b"", ["empty.csv holds no requests"]),
        ("head.csv", b"prompt,subject,target_new\n", ["head.csv holds no requests"]),
        ("cut.jsonl.gz", gzip.compress(SOUND)[:-9], ["cut.jsonl.gz: cannot be read to its end"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_invalid_file_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes, fragments: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    answer = editflow("requests", "check", tmp_path / name)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    for fragment in fragments:
        assert fragment in answer.err


def test_a_table_without_rows_or_with_unknown_columns_is_refused(tmp_path: Path) -> None:
    for name, rows, message in (("none", [], "holds no requests"), ("other", [{"q": "x"}], "it has q")):
        pq.write_table(pa.Table.from_pylist(rows, pa.schema({"q": pa.string()})), tmp_path / f"{name}.parquet")
        answer = editflow("requests", "check", tmp_path / f"{name}.parquet")
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert message in answer.err


def test_unread_fields_and_unanswered_questions_are_reported(tmp_path: Path) -> None:
    """A misspelt field is not a fault, but its scores would be missing later."""
    asked = {"locality_prompt": ["a?", "b?"], "locality_ground_truth": ["x", ""]}
    rows = [row | asked | {"paraphase_prompts": ["Ann, where?"]} for row in ROWS]
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = editflow("requests", "check", path)
    assert answer.code == 0
    assert "paraphase_prompts (2)" in answer.err
    assert "note: 2 questions without an answer, not asked" in answer.err
    found = editflow("requests", "check", path, "--json").json
    assert (found["unread"], found["unanswered"]) == ({"paraphase_prompts": 2}, 2)
    assert found["relations"][0]["locality"] == 2
    assert "note" not in editflow("requests", "check", written(tmp_path, "json")).err  # control


def test_a_table_of_many_relations_is_cut(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"subject": f"Ann {n}", "prompt": f"Where is Ann {n}?", "relation": f"r{n}"} for n in range(50)]
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = editflow("requests", "check", path)
    assert "10 more relations" in answer.err
    assert len(answer.out.splitlines()) == 40 + 3  # an empty line, the title, the column names
    found = editflow("requests", "check", path, "--json").json
    assert len(found["relations"]) == 50


def test_relations_above_a_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editflow.editing.requests.validation.MAX_RELATIONS", 2)
    names = ["a", "b", "c", "d", "a"]
    rows = [
        ROWS[0] | {"prompt": f"Where is Ann {n}?", "subject": f"Ann {n}", "relation": r} for n, r in enumerate(names)
    ]
    found = find_faults(lambda: ((f"record {n}", row) for n, row in enumerate(rows)))
    assert {row["relation"]: row["facts"] for row in found.counts()} == {"a": 2, "b": 1, OTHERS: 2}


@pytest.mark.parametrize("source", ["hub:", "hub:@main", "hub::x", "nowhere.csv", "ftp://nowhere.invalid/x.json"])
def test_an_invalid_source_is_refused_in_one_line(source: str) -> None:
    answer = editflow("requests", "check", source)
    assert (answer.code, answer.err.count("\n"), answer.out) == (2, 1, "")
    assert "give a path, a URL or hub:NAME" in answer.err


def test_all_faults_are_reported(tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0] | {"target_new": "Bari"}, {"prompt": "x", "subject": "y", "target_new": "z"}]
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = editflow("requests", "check", path)
    assert answer.code == 2
    assert "line 3" in answer.err
    assert "contradicts" in answer.err
    assert "line 4" in answer.err
    assert answer.err.splitlines()[-1].startswith("error:")
    assert "has 2 faults" in answer.err


def peak(use: Callable[[], object]) -> int:
    """The peak of allocated bytes while it runs."""
    tracemalloc.start()
    use()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def write_records(path: Path, rows: list[str]) -> None:
    """Write records in the format of the file name."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(map(json.loads, rows))), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, json.loads(rows[0]))
            writer.writeheader()
            writer.writerows(map(json.loads, rows))
    else:
        path.write_text("\n".join(rows) if path.suffix == ".jsonl" else f"[{','.join(rows)}]")


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_a_long_file_is_checked_in_little_memory(tmp_path: Path, form: str) -> None:
    """Memory grows with the hashes of the records, not with their texts; reading itself may take a megabyte."""
    count, path = 2_000, tmp_path / f"many.{form}"
    long = {"relation": "", "about": "x" * 1000}
    rows = [json.dumps(ROWS[0] | long | {"subject": f"Ann {n}", "prompt": f"Where is Ann {n}?"}) for n in range(count)]
    rows[-1] = rows[0]
    write_records(path, rows)
    assert len(list(read_records(str(written(tmp_path, form))))) == len(ROWS)  # loads modules once
    found: list[Findings] = []
    assert peak(lambda: found.append(find_faults(lambda: read_records(str(path))))) < 1_000_000 + 150 * count
    assert found[0].facts == count - 1
    assert len(found[0].faults) == 1
    assert "duplicates" in found[0].faults[0]
    assert peak(lambda: list(read_records(str(path)))) > 1_000_000 + 700 * count  # control: with all texts in memory
