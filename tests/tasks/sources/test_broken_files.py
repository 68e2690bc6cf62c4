"""Any exception of a library for a broken or malicious file becomes one error that names the file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import tiny_world

from editflow.editing.errors import EditingError, InvalidRequest
from editflow.tasks.errors import BadRecord, TaskError
from editflow.tasks.sources.corpus import read_documents
from editflow.tasks.sources.edit_requests import load_requests
from editflow.tasks.sources.records import MAX_RECORD_BYTES, read_records

FACT = {"prompt": "Where is {}?", "subject": "Ann", "target_new": "Rome"}
LINE = json.dumps(FACT).encode() + b"\n"
TABLE = pa.table({"prompt": ["Where is {}?"], "subject": ["Ann"], "target_new": ["Rome"], "label": [1]})


def features(**label: object) -> bytes:
    return json.dumps({"info": {"features": {"label": {"_type": "ClassLabel", **label}}}}).encode()


@pytest.mark.parametrize(
    "metadata",
    [b"{bad", b"[]", b"5", b"null", b"", b"\xff\xfe", b"1" * 5000, b"[" * 100_000, features(names=5),
     features(names=[1]),
     features(names=None), features(names={"a": 1}), features(_type="Nope", names=["a", "b"]),
     b'{"info": {"features": [1]}}', b'{"info": {"features": {"label": [{"a": {}}]}}}', b'{"info": 1}'],
    ids=lambda metadata: ascii(metadata[:30]),
)  # fmt: skip
def test_invalid_metadata_of_a_parquet_file_is_ignored(tmp_path: Path, metadata: bytes) -> None:
    pq.write_table(TABLE.replace_schema_metadata({b"huggingface": metadata}), tmp_path / "x.parquet")
    assert [record for _, record in read_records(str(tmp_path / "x.parquet"))] == [{**FACT, "label": 1}]
    pq.write_table(TABLE.replace_schema_metadata({b"huggingface": features(names=["a", "b"])}), tmp_path / "x.parquet")
    assert next(read_records(str(tmp_path / "x.parquet")))[1]["label"] == "b"  # control


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "big.jsonl": b'{"a": ' + b"1" * 5000 + b"}", "big.json": b'[{"a": ' + b"1" * 5000 + b"}]",
        "infinite.json": b'[{"a": 1e999}]', "nul.jsonl": bytes(100), "nul.json": b"[\0]", "deep.jsonl": b"[" * 10**5,
        "deep.json": b"[" * 10**5, "twice.json": b'[{"a": 1, "a": 2}]', "half.jsonl": b'{"a": "\xff"}',
        "long.jsonl": b"x" * (MAX_RECORD_BYTES + 1), "long.csv": b"a\n" + b"x" * (MAX_RECORD_BYTES + 1),
        "quote.csv": b'a,b\n"x,y\n',
        "number.csv": b"a\n[" + b"1" * 5000 + b"]\n", "old.csv": b"a,b\rc,d\r", "twice.csv": b"a,a\n1,2\n",
        "not.parquet": b"PAR1", "none.parquet": b"", "not.jsonl.gz": LINE, "not.jsonl.bz2": LINE, "not.jsonl.xz": LINE,
        "not.jsonl.zip": LINE, "cut.jsonl.gz": gzip.compress(LINE)[:-1], "cut.jsonl.bz2": bz2.compress(LINE)[:-1],
        "cut.jsonl.xz": lzma.compress(LINE)[:-1], "second.jsonl.gz": gzip.compress(LINE) + b"garbage",
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_error_for_a_broken_file_names_it(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TaskError, match=name):
        list(read_records(str(tmp_path / name)))


def test_duplicate_columns_and_invalid_times_are_refused(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["x", "x"])
    for table, word in ((twice, "two columns"), (pa.table({"t": pa.array([2**62], pa.timestamp("us"))}), "range")):
        pq.write_table(table, tmp_path / "x.parquet")
        with pytest.raises(BadRecord, match=word):
            list(read_records(str(tmp_path / "x.parquet")))


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "x" * 131_073 + ",y\n")
    assert len(next(read_records(str(tmp_path / "x.csv")))[1]["a"]) == 131_073


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
def test_a_huge_file_is_not_read_into_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'[{"a": "' if name == "x.json" else b"")
    os.truncate(tmp_path / name, 10**12)
    with pytest.raises(BadRecord, match=name):
        list(read_records(str(tmp_path / name)))


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.bz2", "jsonl.xz", "parquet", "json", "csv"])
def test_corrupt_bytes_raise_only_our_errors(tmp_path: Path, ending: str) -> None:
    path, pack = tmp_path / f"x.{ending}", {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    pq.write_table(TABLE.replace_schema_metadata({b"huggingface": features(names=["a", "b"])}), tmp_path / "x.parquet")
    content = {"parquet": (tmp_path / "x.parquet").read_bytes(), "json": b"[" + LINE + b"]", "csv": b"a,b\nx,y\n" * 9}
    whole = content.get(ending) or pack[ending[6:]](LINE * 50)
    seeded, broken = random.Random(ending), 0  # noqa: S311
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(3):
            data[seeded.randrange(len(data))] = seeded.randrange(256)
        path.write_bytes(data)
        try:
            list(read_records(str(path)))
        except (TaskError, EditingError):
            broken += 1
    assert broken, "at least one file must be broken"


@pytest.mark.parametrize(
    ("given", "word"),
    [({"subject": "\0"}, "control"), ({"subject": "A\0b"}, "control"), ({"prompt": "\x1b {}"}, "control"),
     ({"subject": "\x9b"}, "control"), ({"target_new": "\x07"}, "control"), ({"subject": "\x7f"}, "control"),
     ({"subject": "A" * 10_001}, "10,001"), ({"prompt": "A" * 10_001 + "{}"}, "10,003"),
     ({"prompt": "{}" + "a" * 9_000, "subject": "b" * 9_000}, "18,000"), ({"subject": "\u200b\u200d"}, "empty"),
     ({"subject": "\u202e"}, "empty"), ({"subject": "\u3164"}, "empty"), ({"subject": "\ufeff"}, "empty")],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_facts_with_invalid_characters_or_lengths_are_refused(
    tmp_path: Path, form: str, given: dict[str, str], word: str
) -> None:
    import csv

    rows, path = [FACT, {**FACT, **given}], tmp_path / f"facts.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(FACT), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    else:
        text = [json.dumps(row) for row in rows]
        path.write_text("[" + ",".join(text) + "]" if form == "json" else "\n".join(text))
    with pytest.raises(InvalidRequest, match=rf"(record|line) 2.*{word}"):
        load_requests(path)


def test_texts_may_contain_invisible_characters(tmp_path: Path) -> None:
    rows = [
        {**FACT, "subject": subject} for subject in ("A\u200bb", "\u202aAb\u202c", "क\u200dष", "Zoë\u0301", "x" * 9_000)
    ]
    rows.append({**FACT, "prompt": "Q:\t{}\nA:"})
    assert len(load_requests(tiny_world.write_lines(tmp_path / "facts.jsonl", rows))) == 6


DUMP = "<mediawiki><page><title>T</title><ns>0</ns><id>1</id><revision><text>{}</text></revision></page></mediawiki>"


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "cut.xml.bz2": bz2.compress(DUMP.encode())[:-9], "not.xml.bz2": DUMP.encode(), "cut.xml": DUMP.encode()[:-9],
        "fields.xml": b"<mediawiki><page><id>1</id></page></mediawiki>", "bytes.xml": b"\xff\xfe\0",
        "big.jsonl": b'{"text": ' + b"1" * 5000 + b"}\n", "list.json": b"[1, 2]", "not.parquet": b"PAR1",
        "half.jsonl": b'{"text": "\xff"}\n', "deep.jsonl": b"[" * 10**5,
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_error_for_a_broken_corpus_names_it(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadRecord, match=name):
        list(read_documents(str(tmp_path / name)))


def test_an_error_of_the_wikitext_parser_names_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mwparserfromhell

    (tmp_path / "dump.xml").write_text(DUMP.format("a text"))
    assert [document.title for document in read_documents(str(tmp_path / "dump.xml"))] == ["T"]  # control

    def fails(_text: str) -> Callable[[], None]:
        raise RecursionError("too deep")

    monkeypatch.setattr(mwparserfromhell, "parse", fails)
    with pytest.raises(BadRecord, match=r"dump.xml, page 1: .*too deep"):
        list(read_documents(str(tmp_path / "dump.xml")))


def test_a_page_of_a_dump_has_a_maximum_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editflow.tasks.sources.corpus.MAX_PAGE_BYTES", 2**16)
    (tmp_path / "bomb.xml.bz2").write_bytes(bz2.compress(DUMP.format("x" * 10**6).encode()))
    with pytest.raises(BadRecord, match="a page of more than"):
        list(read_documents(str(tmp_path / "bomb.xml.bz2")))
