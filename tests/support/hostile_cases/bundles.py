"""Untrusted run bundles: malformed zip files, and valid ones with excessive or forbidden settings."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from support.hostile_cases import files
from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.lake_tricks import ADDRESS
from support.hostile_cases.values import changed, places, shown, written

Parts = dict[str, bytes]
NAMES = ("../../outside/planted", "/planted", "a/../../planted", "inputs/../x", "inputs/requests.source/../../x",
    "PACK.JSON", "record.json/",
         "\x00", "inputs/requests.source/", "C:\\x", "\u202e", "x" * 60_000)  # fmt: skip


def make(at: Setting) -> tuple[str, Ask]:
    """Change one thing in a copy of the valid bundle, and rerun it."""
    file = at.folder / "run.zip"
    shutil.copyfile(at.good.bundle, file)
    way = at.draw.choices((_file, _zip, _json, _change_setting), (20, 20, 35, 25))[0]
    story = way(at, file)
    chance = at.draw.random()  # mostly a missing model: a valid bundle then ends before the work
    model = [] if chance < 0.25 else ["--model", at.good.world.model if chance < 0.3 else at.folder / "nowhere"]
    return story, command("rerun", file, *model, "--into", at.folder / "fresh", finds=True, keeps=(file,))


def _file(at: Setting, file: Path) -> str:
    return files.spoil(file, at.draw, at.outside)


def parts_of(file: Path) -> Parts:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_digests(parts: Parts) -> Parts:
    """The parts with an index that has their current digests."""
    index = json.loads(parts["pack.json"])
    index["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items() if name != "pack.json"}
    return {**parts, "pack.json": json.dumps(index).encode()}


def write(file: Path, parts: Parts, kind: int = zipfile.ZIP_STORED) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name.replace("\x00", "?"), (1980, 1, 1, 0, 0, 0)), data, kind)
    file.write_bytes(out.getvalue())


def _zip(at: Setting, file: Path) -> str:
    """Change the zip file's structure."""
    parts, name = parts_of(file), at.draw.choice(NAMES)
    what = at.draw.choice(
        (
            "a part more",
            "renamed",
            "squeezed",
            "many parts",
            "links",
            "before",
            "behind",
            "a lying size",
            "encrypted",
            "lost",
            "twice",
        )
    )
    data = file.read_bytes()
    if what == "a part more":
        write(file, with_digests({**parts, name: b"x"}))
    elif what == "renamed":
        old = at.draw.choice(sorted(parts))
        write(file, {(name if key == old else key): part for key, part in parts.items()})
        what += f": {old}"
    elif what == "squeezed":
        write(file, with_digests({**parts, "spec.toml": bytes(8 << 20)}), zipfile.ZIP_DEFLATED)
    elif what == "many parts":
        write(file, with_digests({**parts, **{f"inputs/a/{n}": b"" for n in range(300)}}))
    elif what == "links":
        _write_links(file, parts, str(at.outside / "secret.txt"))
    elif what == "before":
        file.write_bytes(b"#!/bin/sh\nexit\n" + data)
    elif what == "behind":
        file.write_bytes(data + at.draw.choice((b"x", data, bytes(70_000))))
    elif what == "lost":
        parts.pop(at.draw.choice(sorted(parts)))
        write(file, parts)
    elif what == "twice":
        write(file, parts)
        with zipfile.ZipFile(file, "a") as archive, _quiet():
            archive.writestr("record.json", b"{}")
    else:
        file.write_bytes(_change_directory_field(at, data, encrypted=what == "encrypted"))
    return f"zip: {what}, {shown(name)}"


def _quiet() -> Any:
    import warnings

    return warnings.catch_warnings(action="ignore")


def _write_links(file: Path, parts: Parts, aim: str) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, aim.encode() if name.startswith("inputs") else data)


def _change_directory_field(at: Setting, data: bytes, *, encrypted: bool) -> bytes:
    """Change one field of an entry in the central directory."""
    starts = [n for n in range(len(data)) if data.startswith(b"PK\x01\x02", n)]
    start, made = at.draw.choice(starts), bytearray(data)
    if encrypted:
        made[start + 8] |= 1
        return bytes(made)
    field, form = at.draw.choice(((20, "<I"), (24, "<I"), (42, "<I"), (16, "<I"), (28, "<H"), (10, "<H"), (30, "<H")))
    struct.pack_into(
        form, made, start + field, at.draw.choice((0, 1, 0xFFFF, 0xFFFFFFFF)) & (0xFFFF if form == "<H" else 0xFFFFFFFF)
    )
    return bytes(made)


def _json(at: Setting, file: Path) -> str:
    """Change one value of the record, a manifest or the index, with matching digests."""
    parts = parts_of(file)
    name = at.draw.choice(
        ("record.json", "record.json", "artifacts.jsonl", "pack.json", "inputs/requests.source/facts.jsonl")
    )
    if name.endswith(".jsonl"):
        lines = parts[name].splitlines()
        n = at.draw.randrange(len(lines))
        tree, what = changed(json.loads(lines[n]), at.draw, at.outside)
        lines[n], what = written(tree), f"line {n + 1}: {what}"
        parts[name] = b"\n".join(lines) + b"\n"
    else:
        tree, what = changed(
            json.loads(parts[name]), at.draw, at.outside, only=at.draw.choice(("spec", "environment", None))
        )
        parts[name] = written(tree)
    write(file, with_digests(parts) if name != "pack.json" else parts)
    return f"{name}: {what}"


def _change_setting(at: Setting, file: Path) -> str:
    """Change one setting to an excessive value, or to an input from elsewhere."""
    parts = parts_of(file)
    record = json.loads(parts["record.json"])
    url = f"http://user:{ADDRESS}@127.0.0.1:{at.port}/facts.jsonl"
    elsewhere = at.draw.choice([p for p in places(at.outside) if "\x00" not in p])
    key, value = at.draw.choice((
        ("target_values.steps", 10**12), ("target_values.steps", 100_000), ("threads", 1024),
        ("corpus.documents", 10**9), ("corpus.tokens", 10**12),
        ("corpus.partitions", 10**6), ("contexts.count", 10**6), ("contexts.tokens", 10**6), ("corpus.window", 2**20),
        ("edit.batch_size", 10**9),
        ("model.source", "org/name"), ("model.source", "org/name@main"), ("model.source", elsewhere),
        ("model.source", url), ("model.device", "cuda:99"),
        ("model.device", "meta"), ("requests.source", url), ("requests.source", elsewhere),
        ("requests.references", elsewhere), ("requests.references", url),
        ("corpus.source", url), ("corpus.source", elsewhere), ("corpus.source", "hub:org/texts"),
        ("requests.source", "queue:current"), ("name", "../x"),
        ("evaluation.generated_tokens", 10**9), ("requests.count", 10**12), ("ability.sets", ["mmlu"]),
        ("requests.source", "hub:org/facts"),
    ))  # fmt: skip
    where = record["spec"]
    *sections, last = key.split(".")
    for section in sections:
        where = where.setdefault(section, {})
    where[last] = value
    if key == "threads":
        record.setdefault("environment", {})["threads"] = value
    index = json.loads(parts["pack.json"])
    lost = ""
    if key in index["inputs"] and at.draw.random() < 0.5:  # also remove the bundled file of this input
        parts.pop(index["inputs"].pop(key))
        lost = ", without its file"
    parts |= {"record.json": json.dumps(record).encode(), "pack.json": json.dumps(index).encode()}
    write(file, with_digests(parts))
    return f"{key} = {shown(value)}{lost}"
