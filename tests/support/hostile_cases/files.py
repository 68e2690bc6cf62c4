"""Ways to damage or replace a file or folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from support.hostile_cases.values import changed, written

_UNIQUE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|payload-[0-9a-f]+")
Spoil = Callable[[Path, Random, Path], str]


def flipped(path: Path, draw: Random, outside: Path) -> str:
    del outside
    data = bytearray(path.read_bytes())
    many = draw.choice((1, 1, 1, 8, 64))
    for _ in range(many if data else 0):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    return f"{many} bits flipped"


def cut(path: Path, draw: Random, outside: Path) -> str:
    del outside
    data = path.read_bytes()
    kept = draw.choice((0, 1, 4, len(data) // 2, max(0, len(data) - 1), max(0, len(data) - 8)))
    path.write_bytes(data[:kept])
    return f"cut to {kept} of {len(data)} bytes"


def other_bytes(path: Path, draw: Random, outside: Path) -> str:
    del outside
    data = path.read_bytes()
    name, made = draw.choice(
        (
            ("a byte order mark before it", b"\xef\xbb\xbf" + data),
            ("in UTF-16", data.decode("utf-8", "replace").encode("utf-16")),
            ("in Latin-1, with an umlaut", data + b"\xfc"),
            ("zeros behind it", data + bytes(64)),
            ("itself twice", data + data),
            ("zeros alone", bytes(len(data))),
            ("a gzip's first bytes", b"\x1f\x8b\x08\x00" + data),
            ("PAR1 alone", b"PAR1"),
            ("[] alone", b"[]"),
            ("null alone", b"null"),
        )
    )
    path.write_bytes(made)
    return name


def link(path: Path, draw: Random, outside: Path) -> str:
    aims = {
        "a secret outside": outside / "secret.txt",
        "the same file outside": outside / "victim" / path.name,
        "nothing": path.parent / "nowhere" / "at-all",
        "itself": path,
        "a folder outside": outside / "victim",
        "a folder above": path.parent.parent,
        "/dev/null": Path("/dev/null"),
        "another file beside it": next((p for p in sorted(path.parent.iterdir()) if p != path), path),
    }
    name = draw.choice(list(aims))
    path.unlink()
    path.symlink_to(aims[name])
    return f"a link to {name}"


def no_file(path: Path, draw: Random, outside: Path) -> str:
    del outside
    path.unlink()
    what = draw.choice(("gone", "a folder", "a full folder", "a pipe", "a socket", "a sparse file of 8 GiB"))
    if "folder" in what:
        path.mkdir()
        if "full" in what:
            (path / "inner.json").write_text("{}")
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a socket":
        with socket.socket(socket.AF_UNIX) as made, suppress(OSError):
            made.bind(os.path.relpath(path))
    elif "sparse" in what:
        with path.open("wb") as file:
            file.truncate(8 << 30)
    return what


def json_changed(path: Path, draw: Random, outside: Path) -> str:
    """Change one value of a JSON file or of one of its lines; damage the file differently if it is not JSON."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        tree, what = changed(json.loads(text), draw, outside)
    except ValueError:
        lines = text.splitlines()
        try:
            n = draw.randrange(len(lines))
            tree, what = changed(json.loads(lines[n]), draw, outside)
        except ValueError:
            return draw.choice((flipped, cut, other_bytes))(path, draw, outside)
        path.write_bytes(b"\n".join(line.encode() if m != n else written(tree) for m, line in enumerate(lines)) + b"\n")
        return f"line {n + 1}: {what}"
    path.write_bytes(written(tree, draw.choice((None, 1))))
    return what


WAYS: tuple[Spoil, ...] = (flipped, cut, other_bytes, link, no_file, json_changed, json_changed, json_changed)


def spoil(path: Path, draw: Random, outside: Path) -> str:
    """Damage a file in one of the ways; returns a description."""
    return f"{path.name}: {draw.choice(WAYS)(path, draw, outside)}"


def replaced(folder: Path, draw: Random, outside: Path) -> str:
    """Replace a folder; returns a description."""
    what = draw.choice(("gone", "a file", "a link outside", "a link to itself", "a link to nothing", "a link inside"))
    moved = folder.with_name(f"{folder.name}-moved")
    folder.rename(moved)
    twin = next((p for p in sorted(outside.rglob(folder.name)) if p.is_dir()), outside)
    aim = {"a link outside": twin, "a link to itself": folder, "a link to nothing": folder.parent / "nowhere"}
    if what == "a file":
        folder.write_text("no folder")
    elif what == "a link inside":
        folder.symlink_to(moved)
    elif what != "gone":
        folder.symlink_to(aim[what])
    if what != "a link inside":
        shutil.rmtree(moved)
    return f"{folder.name}/: {what}"


def ordered(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files below a folder, in an order that does not depend on random parts of names."""
    found = [path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink()]
    return sorted(found, key=lambda p: (_UNIQUE.sub("", str(p.relative_to(folder))), p.stat().st_mtime_ns))
