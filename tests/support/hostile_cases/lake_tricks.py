"""Malicious changes of a lake."""

from __future__ import annotations

import base64
import json
import os
import pickle
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from editflow.storage.artifacts.identity import table_digest
from support import hostile_lake
from support.hostile_cases.case import Setting
from support.hostile_cases.files import ordered
from support.hostile_cases.foreign_code import Payload
from support.hostile_cases.good import RUN
from support.hostile_cases.values import ids, odd, places, shown

UNUSED_PID = 2**22 + 7
"""Above the largest process id."""


def trick(at: Setting, lake: Path) -> str:
    """Apply one of the tricks; returns a description."""
    return at.draw.choice(TRICKS)(at, lake)


def changed_json(path: Path, change: Callable[[Any], None]) -> None:
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def _run_with_other_id(at: Setting, lake: Path) -> str:
    """A crashed run whose record has an id that leads out of its folder."""
    name = at.draw.choice(places(at.outside))
    path = lake / "runs" / RUN / "started.json"
    (path.parent / "finished.json").unlink()
    here = {"run_id": name, "host": platform.node(), "pid": UNUSED_PID, "process_started": 1.0}
    changed_json(path, lambda tree: tree.update(here))
    return f"a dead run that calls itself {shown(name)}"


def _manifest_with_other_id(at: Setting, lake: Path) -> str:
    """A manifest with another artifact's id, or with a path out of the lake."""
    path, id_ = at.draw.choice(ordered(lake, "artifacts/*/*/manifest.json")), at.draw.choice(ids(at.outside))
    changed_json(path, lambda tree: tree.update(id=id_))
    return f"a manifest that calls itself {shown(id_)}"


def _other_reference(at: Setting, lake: Path) -> str:
    name = at.draw.choice(("state", "uses", "parents"))
    value = at.draw.choice(ids(at.outside))
    if name == "parents":
        path = at.draw.choice(ordered(lake, "artifacts/*/*/manifest.json"))
        changed_json(path, lambda tree: tree.update(parents={"state": value, "a": [value]}))
    elif name == "state":
        changed_json(lake / "runs" / RUN / "finished.json", lambda tree: tree.update(state=value))
    else:
        changed_json(lake / "runs" / RUN / "finished.json", lambda tree: tree["uses"][0].update(artifact=value))
    return f"{name} leads to {shown(value)}"


def _ref(at: Setting, lake: Path) -> str:
    folder = lake / at.draw.choice(
        ("refs/tiny", "releases/current", "queues/current", "refs/new", "refs/-x", "refs/A b")
    )
    folder.mkdir(parents=True, exist_ok=True)
    number = at.draw.choice(("99999999", "9" * 20, "00000000", "-0000001", "1", "٣", "00000002", "1e9", "0x10", "a"))
    body = {"value": at.draw.choice((odd(at.draw, at.outside), at.draw.choice(ids(at.outside))))}
    (folder / f"{number}.json").write_text(json.dumps(body))
    return f"{folder.relative_to(lake)}/{number}.json = {shown(body)}"


def _names(at: Setting, lake: Path) -> str:
    """A file or folder with a strange name."""
    where = at.draw.choice(("runs", "artifacts", "refs", "catalog", f"runs/{RUN}", "queues", "artifacts/aa", "."))
    text = at.draw.choice(
        (
            "\x1b[31mred",
            "a\nb",
            ".tmp-123",
            "..x",
            "-rf",
            "\u202ex",
            "x" * 255,
            hostile_lake.TEXT.replace("/", "")[:100],
            "\u2010",
            " ",
        )
    )
    path = lake / where / text
    path.parent.mkdir(exist_ok=True)
    path.mkdir() if at.draw.random() < 0.5 else path.write_text("{")
    return f"{where}/{shown(text)} is there"


def _litter_links(at: Setting, lake: Path) -> str:
    """A link that looks like an orphan file."""
    names = ("artifacts/aa", "runs/x", "runs", ".", "prefect", "artifacts", "removed", "aside", "catalog/snapshot")
    path = lake / at.draw.choice(names) / at.draw.choice((".tmp-1", "payload-0000.parquet", "x", "0" * 64))
    path.parent.mkdir(parents=True, exist_ok=True)
    aim = at.draw.choice(
        (at.outside / "victim" / "artifacts", at.outside / "victim", at.outside / "secret.txt", at.outside)
    )
    path.symlink_to(aim)
    os.utime(path, (1, 1), follow_symlinks=False)
    return f"{path.relative_to(lake)} links to {aim.relative_to(at.outside.parent)}"


def _prefect(at: Setting, lake: Path) -> str:
    """Prefect results that choose their deserialiser."""
    (lake / "prefect").mkdir()
    poison = base64.b64encode(pickle.dumps(Payload(str(at.folder / "ran"), at.port))).decode()
    serializer = at.draw.choice(
        ({"type": "pickle", "picklelib": "pickle"}, {"type": "json"}, {"type": "compressed/pickle"}, 5)
    )
    result = at.draw.choice((poison, "5", "[]", odd(at.draw, at.outside)))
    about = {"storage_key": "x", "expiration": None, "serializer": serializer, "prefect_version": "3.8.8"}
    for path in ordered(lake, "artifacts/*/*/manifest.json"):
        (lake / "prefect" / path.parent.name).write_text(json.dumps({"metadata": about, "result": result}))
    return f"Prefect's results are {shown(serializer)} {shown(result)[:30]}"


def _delta(at: Setting, lake: Path) -> str:
    """An index whose log refers to other files, or is wrong about itself."""
    log = lake / "catalog" / at.draw.choice(("artifacts", "runs", "uses")) / "_delta_log"
    last = sorted(log.glob("*.json"))[-1]
    paths = (
        *places(at.outside),
        f"{at.outside}/victim/x.parquet",
        f"http://127.0.0.1:{at.port}/x.parquet",
        "s3://b/x.parquet",
    )
    path = at.draw.choice([p for p in paths if "\x00" not in p])
    size = at.draw.choice((1, 0, -1, 2**62))
    add = {
        "path": path,
        "partitionValues": {},
        "size": size,
        "modificationTime": 1,
        "dataChange": True,
        "stats": '{"numRecords":1}',
    }
    what = at.draw.choice(("add", "checkpoint", "version", "protocol", "schema"))
    if what == "add":
        (log / f"{int(last.stem) + 1:020d}.json").write_text(json.dumps({"add": add}) + "\n")
        return f"{log.parent.name}'s log adds {shown(path)} of {size} bytes"
    if what == "checkpoint":
        (log / "_last_checkpoint").write_text(
            json.dumps({"version": at.draw.choice((0, 3, 10**9, -1, 2**63)), "size": 2**40})
        )
    elif what == "version":
        shutil.copy(last, log / f"{at.draw.choice(('99999999999999999999', '00000000000000000999', 'x'))}.json")
    elif what == "protocol":
        lines = {
            "protocol": {
                "minReaderVersion": at.draw.choice((99, -1, "a")),
                "minWriterVersion": 99,
                "readerFeatures": ["x"],
            }
        }
        (log / f"{int(last.stem) + 1:020d}.json").write_text(json.dumps(lines) + "\n")
    else:
        first = log / f"{0:020d}.json"
        first.write_text(first.read_text().replace("string", at.draw.choice(("binary", "long", "struct", "variant"))))
    return f"{log.parent.name}'s log lies about its {what}"


def _payload(at: Setting, lake: Path) -> str:
    """A payload with other content and a matching manifest."""
    path = at.draw.choice(ordered(lake, "artifacts/*/*/manifest.json"))
    manifest = json.loads(path.read_text())
    file = next(path.parent.glob("payload-*"))
    table = parquet.read_table(file)
    what = at.draw.choice(
        ("texts", "texts", "no rows", "no columns", "one column", "other types", "nulls", "many rows")
    )
    made = _table(table, what, at)
    file.unlink()
    digest = table_digest(made)
    file = path.parent / f"payload-{digest[:16]}.parquet"
    parquet.write_table(made, file)
    manifest |= {"digest": digest, "rows": made.num_rows, "bytes": file.stat().st_size}
    path.write_text(json.dumps(manifest))
    return f"a {manifest['kind']} with {what}"


def _table(table: pa.Table, what: str, at: Setting) -> pa.Table:
    ways: dict[str, Callable[[], pa.Table]] = {
        "no rows": lambda: table.slice(0, 0),
        "no columns": lambda: table.select([]),
        "one column": lambda: table.select(table.column_names[:1]),
        "many rows": lambda: pa.concat_tables([table] * 50),
        "nulls": lambda: pa.table([pa.nulls(len(table), field.type) for field in table.schema], schema=table.schema),
        "other types": lambda: pa.table({name: ["x"] * len(table) for name in table.column_names}),
    }
    if what in ways:
        return ways[what]()
    text = at.draw.choice((hostile_lake.TEXT, hostile_lake.LONG, "\x00", "", *places(at.outside)[:4]))
    columns = [
        pa.array([text] * len(table), field.type) if pa.types.is_string(field.type) else table[n]
        for n, field in enumerate(table.schema)
    ]
    return pa.table(columns, schema=table.schema)


def _secret_address(at: Setting, lake: Path) -> str:
    """A record of an earlier version, with an unredacted address."""
    url = f"http://user:{ADDRESS}@127.0.0.1:{at.port}/facts.jsonl?token={ADDRESS}"
    section = at.draw.choice(("requests", "corpus", "model"))
    for path in lake.glob("runs/*/started.json"):
        changed_json(path, lambda tree: tree["spec"].setdefault(section, {}).update(source=url))
    return f"its record has {section}.source with a password"


ADDRESS = "canary-hunter2-0c71d9"
"""A password in an address, which is a secret to `laws.py`."""


def _no_catalog(at: Setting, lake: Path) -> str:
    shutil.rmtree(lake / "catalog")
    (lake / "catalog").symlink_to(at.outside / "victim" / "catalog")
    return "catalog/ links to another lake's"


TRICKS: tuple[Callable[[Setting, Path], str], ...] = (
    _run_with_other_id, _run_with_other_id, _manifest_with_other_id, _manifest_with_other_id, _other_reference,
        _other_reference, _ref, _ref,
    _names, _litter_links, _litter_links, _prefect, _delta, _delta, _payload, _payload, _secret_address, _no_catalog,
)  # fmt: skip
