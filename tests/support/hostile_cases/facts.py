"""Files of facts with one invalid change."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from support import hostile_lake
from support.hostile_cases import files
from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.shapes import SHAPES, write_parquet
from support.hostile_cases.values import changed, odd, written

NAMES = ("facts\n.jsonl", "-facts.jsonl", "facts.jsonl.gz", "facts.parquet", "facts.csv", "facts.json", "facts",
    "f[a]cts*.jsonl",
         "::.jsonl", "facts.zip", "\x1b[31m.jsonl", "@x.jsonl", "%00.jsonl", "a b.jsonl", "hub:x",
         "facts.jsonl.zst")  # fmt: skip
FEATURES: tuple[Any, ...] = (
    b"{bad", b"", b"\xff", b"[]", b"null", b"5", {"info": 5}, {"info": {"features": 5}},
        {"info": {"features": {"label": 5}}},
    {"info": {"features": {"label": {"names": 5, "_type": "ClassLabel"}}}},
    {"info": {"features": {"label": {"_type": "Nothing"}}}},
    {"info": {"features": {"label": {"names": ["a", "a"], "_type": "ClassLabel"}}}},
    {"info": {"features": {"gone": {"_type": "Value"}}}},
    {"info": {"features": {"label": {"dtype": "x", "_type": "Value"}}}},
    {"info": {"features": {"label": {"names": [1], "_type": "ClassLabel"}}}},
    {"info": {"features": {"subject": {"_type": "Image"}}}}, {"info": {"features": {"subject": {"_type": "Audio"}}}},
    {"info": {"features": {"label": {"num_classes": -1, "_type": "ClassLabel"}}}},
    {"info": {"features": [{"_type": "Sequence"}]}},
    b'{"info":' + b'{"a":' * 3_000 + b"1" + b"}" * 3_001,
    {"info": {"features": {"label": {"names": None, "_type": "ClassLabel"}}}},
)  # fmt: skip
CELLS = (
    "a" * 140_000,
    '"',
    '"a\n',
    "\x00",
    "[1",
    '{"a": NaN}',
    "[" * 2_000,
    "\ufeff",
    "=cmd()",
    "\r",
    "\x1b[31m",
    ",,,",
    '""""',
)


def make(at: Setting) -> tuple[str, Ask]:
    """Change one thing in one file, and read it."""
    way = at.draw.choices((_record, _file, _name, _parquet, _csv, _packed, _lines), (40, 16, 8, 12, 8, 8, 8))[0]
    path, story = way(at)
    more = ["--dataset", at.draw.choice((*SHAPES, "zsre-alt", "nothing", ""))] if at.draw.random() < 0.15 else []
    if at.draw.random() < 0.15:
        return story, command("submit", path, "--lake", at.folder / "lake", *more, keeps=(path,))
    return story, command(
        "requests", "check", path, *more, *(["--json"] if at.draw.random() < 0.3 else []), finds=True, keeps=(path,)
    )


def _copy(at: Setting, name: str, to: str | None = None) -> Path:
    return Path(shutil.copyfile(at.good.facts / name, at.folder / (to or name)))


def _record(at: Setting) -> tuple[Path, str]:
    """Change one value of one record, in JSON lines or an array."""
    name = at.draw.choice(list(SHAPES))
    rows = list(SHAPES[name])
    n = at.draw.randrange(len(rows))
    rows[n], what = changed(rows[n], at.draw, at.outside)
    path = at.folder / f"{name}.{at.draw.choice(('jsonl', 'json'))}"
    path.write_bytes(b"".join(written(row) + b"\n" for row in rows) if path.suffix == ".jsonl" else written(rows))
    return path, f"{path.name}, record {n + 1}: {what}"


def _file(at: Setting) -> tuple[Path, str]:
    names = sorted(path.name for path in at.good.facts.iterdir())
    path = _copy(at, at.draw.choice(names))
    return path, files.spoil(path, at.draw, at.outside)


def _name(at: Setting) -> tuple[Path, str]:
    name = at.draw.choice(NAMES)
    return _copy(at, at.draw.choice(("counterfact.jsonl", "plain.csv", "flat.json")), name), f"it is called {name!a}"


def _parquet(at: Setting) -> tuple[Path, str]:
    path, rows = (
        at.folder / "facts.parquet",
        [{"prompt": "{} speaks", "subject": "Ann", "target_new": "French", "label": 1}],
    )
    if at.draw.random() < 0.7:
        about = at.draw.choice(FEATURES)
        if isinstance(about, dict) and at.draw.random() < 0.4:
            about, _ = changed(about, at.draw, at.outside)
            about = written(about)
        write_parquet(path, rows, about)
        return path, f"its schema says {ascii(about)[:150]}"
    types = (pa.binary(), pa.int64(), pa.timestamp("ns"), pa.list_(pa.string()), pa.decimal128(38),
        pa.dictionary(pa.int8(), pa.string()),
             pa.map_(pa.string(), pa.string()), pa.struct([("str", pa.string())]), pa.float64(), pa.date32(),
                 pa.duration("s"))  # fmt: skip
    kind, name = at.draw.choice(types), at.draw.choice(("prompt", "subject", "target_new", "target_true", "id"))
    table = pa.Table.from_pylist(rows)
    made = _array(kind)
    table = table.drop_columns([name]) if name in table.column_names else table
    parquet.write_table(table.append_column(name, made), path)
    return path, f"column {name} is of {kind}"


def _array(kind: pa.DataType) -> pa.Array:
    values: dict[str, Any] = {
        "binary": b"\xff",
        "int64": 2**62,
        "double": float("nan"),
        "list<item: string>": ["a", None],
    }
    try:
        return pa.array([values.get(str(kind), 2**40)], kind)
    except (pa.ArrowException, TypeError, OverflowError):
        return pa.nulls(1, kind)


def _csv(at: Setting) -> tuple[Path, str]:
    path, cell = at.folder / "facts.csv", at.draw.choice(CELLS)
    rows = [["prompt", "subject", "target_new"], ["{} speaks", "Ann", "French"]]
    rows[at.draw.randrange(2)][at.draw.randrange(3)] = cell
    with path.open("w", newline="", encoding="utf-8") as file:
        if at.draw.random() < 0.5:
            csv.writer(file).writerows(rows)
        else:
            file.write("".join(f"{','.join(row)}\n" for row in rows))
    return path, f"a cell is {ascii(cell)[:60]}"


def _packed(at: Setting) -> tuple[Path, str]:
    """A compressed file that is large, compressed twice or invalid."""
    packs: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    ending = at.draw.choice((*packs, "zip"))
    data = at.draw.choice(
        (
            bytes(4 << 20),
            b"[" * (1 << 20),
            b'{"a":' * 200_000,
            b"",
            b'{"subject": "' + b"a" * (4 << 20) + b'"}',
            b"\xff\xfe",
        )
    )
    path = at.folder / f"facts.jsonl.{ending}"
    if ending == "zip":
        path = at.folder / "facts.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in at.draw.choice((("../../outside/planted",), ("a.jsonl", "b.jsonl"), ("a.jsonl",))):
                archive.writestr(name, data)
    else:
        packed = packs[ending](data)
        path.write_bytes(at.draw.choice((packed, packed[:-4], packed + b"x", packs[ending](packed), packed + packed)))
    return path, f"{len(data)} bytes of {data[:6]!a}, packed as {ending}"


def _lines(at: Setting) -> tuple[Path, str]:
    path = at.folder / "facts.jsonl"
    made, what = _odd_lines(at.draw, at.outside)
    path.write_bytes(made)
    return path, what


def _odd_lines(draw: Random, outside: Path) -> tuple[bytes, str]:
    row = json.dumps(SHAPES["flat"][0]).encode()
    ways: dict[str, bytes] = {
        "old Mac line ends": row + b"\r" + row, "line separators": row + "\u2028".encode() + row,
        "a comma behind each": row + b",\n" + row,
        "a row twice": row + b"\n" + row + b"\n", "a value alone": written(odd(draw, outside)),
        "an open array": b"[" + row,
        "an array of arrays": b"[[" + row + b"]]", "two arrays": b"[" + row + b"]\n[" + row + b"]",
        "white space alone": b" \n\t\n",
        "a comment": b"// facts\n" + row, "hostile texts": json.dumps(dict.fromkeys(SHAPES["flat"][0],
        hostile_lake.TEXT)).encode(),
        "many fields": json.dumps({**SHAPES["flat"][0], **{f"f{n}": n for n in range(3_000)}}).encode(),
        "a name twice": b'{"subject": "a", "subject": "b"}',
        "a long subject": json.dumps({**SHAPES["flat"][0], "subject": "x" * 1_000_000}).encode(),
        "a NUL subject": json.dumps({**SHAPES["flat"][0], "subject": "\0"}).encode(),
        "a million empty lines": b"\n" * 1_000_000,
        "half a pair": b'{"subject": "\\ud800", "prompt": "{} is", "target_new": "a"}',
    }  # fmt: skip
    what = draw.choice(list(ways))
    return ways[what], what
