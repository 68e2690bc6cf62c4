"""`editflow requests check`: files of every form, sound and broken, and a long one in little memory."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_world import editflow

from tasks.records import read_records

ROWS = [
    {"prompt": f"Where is {name}?", "subject": name, "target_new": "Rome", "ground_truth": "Nice"}
    for name in ("Ann", "Bo")
]


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
def test_every_form_is_read(tmp_path: Path, form: str) -> None:
    answer = editflow("requests", "check", written(tmp_path, form), "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["dataset"], answer.json["facts"], answer.json["faults"]) == ("flat", 2, [])
    assert answer.json["relations"][0]["paraphrases"] == (2 if form == "csv" else 0)
    assert editflow("requests", "check", f"file://{written(tmp_path, form)}").code == 0


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("cut.json", b'[{"prompt": "a {}", "subject"', ["cut.json", "not JSON"]),
        ("cut.jsonl", b'{"prompt": "a {}"}\n{"prom', ["cut.jsonl, line 2", "not JSON"]),
        ("columns.csv", b"a,b\n1,2\n", ["columns.csv, record 1", "it has a, b, like no data set"]),
        ("cells.csv", b"prompt,subject\nx\n", ["cells.csv, record 1", "another number of cells"]),
        ("mixed.jsonl", '{"a": "é"}\n'.encode() + b'{"a": "\xe9"}\n', ["mixed.jsonl, line 2", "not UTF-8"]),
        ("empty.jsonl", b"", ["empty.jsonl holds no requests"]),
        ("empty.json", b"[]", ["empty.json holds no requests"]),
        ("no.parquet", b"PAR1 not", ["no.parquet"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_broken_file_gets_one_clear_line(tmp_path: Path, name: str, content: bytes, fragments: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    answer = editflow("requests", "check", tmp_path / name)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    for fragment in fragments:
        assert fragment in answer.err


def test_all_faults_are_told_and_the_run_would_refuse(tmp_path: Path) -> None:
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


def test_a_long_file_is_read_in_little_memory(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 50_000):
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as file:
            for n in range(count):
                file.write(json.dumps(ROWS[0] | {"subject": f"Ann {n}"}) + "\n")
        tracemalloc.start()
        assert sum(1 for _ in read_records(str(path))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000
    # The control: held together, so many records take far more.
    tracemalloc.start()
    held = list(read_records(str(path)))
    assert tracemalloc.get_traced_memory()[1] > 10_000_000
    tracemalloc.stop()
    assert len(held) == 50_000
