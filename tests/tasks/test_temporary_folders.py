"""Temporary folders of killed processes are found by their owners, and no others are touched."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from editflow.tasks import temporary_folders
from editflow.tasks.temporary_folders import OWNER, Owner, abandoned, clear, temporary

GONE = {"host": platform.node(), "pid": 2**22 + 1, "started": 1.0}
"""No process has this number: Linux gives none above 2**22."""
OLD = time.time() - 7200


def left(place: Path, name: str = "editflow-rerun-abc", owner: object = GONE) -> Path:
    """A folder as a killed process leaves it, with a thousand bytes in it."""
    folder = place / name
    (folder / "lake").mkdir(parents=True)
    (folder / "lake" / "payload").write_bytes(b"x" * 1000)
    text = owner if isinstance(owner, str) else json.dumps(owner)
    (folder / OWNER).write_text(text)
    return folder


def test_a_folder_is_ones_own_while_its_block_goes_on(tmp_path: Path) -> None:
    with temporary("verify", tmp_path) as folder:
        assert folder.name.startswith("editflow-verify-")
        assert Owner.of(json.loads((folder / OWNER).read_text())) == Owner.me()
        assert abandoned([tmp_path]) == []
        assert folder.stat().st_mode & 0o077 == 0, "nobody else's business"
    assert not folder.exists()


def test_it_goes_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), temporary("verify", tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_one_that_is_found(tmp_path: Path) -> None:
    text = (
        "import os, sys; from pathlib import Path; from editflow.tasks.temporary_folders import temporary\n"
        "with temporary('copy', Path(sys.argv[1])) as folder:\n"
        "    (folder / 'copy.json').write_bytes(b'x' * 1000); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", text, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -9
    (found,) = abandoned([tmp_path, tmp_path])
    assert found.bytes >= 1000
    assert clear(found)
    assert list(tmp_path.iterdir()) == []


OTHERS: dict[str, dict[str, Any]] = {
    "its process goes on": {"owner": vars(Owner.me())},
    "another host's": {"owner": GONE | {"host": "elsewhere"}},
    "another name": {"name": "somebody-rerun-abc"},
    "no owner": {"owner": ""},
    "no JSON": {"owner": "{"},
    "no object": {"owner": "[]"},
    "no process": {"owner": GONE | {"pid": "1"}},
    "no number of a process": {"owner": GONE | {"pid": -1}},
    "a number too large": {"owner": GONE | {"pid": 2**70}},
    "true is no number": {"owner": GONE | {"pid": True}},
    "no time": {"owner": GONE | {"started": "x"}},
    "a time that is none": {"owner": json.dumps(GONE | {"started": float("nan")})},
    "a time beyond all numbers": {"owner": GONE | {"started": 10**400}},
    "no host": {"owner": {key: GONE[key] for key in ("pid", "started")}},
    "deep": {"owner": "[" * 4000},
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_alone(tmp_path: Path, name: str) -> None:
    folder = left(tmp_path, **OTHERS[name])
    os.utime(folder, (OLD, OLD))
    assert abandoned([tmp_path]) == []
    assert (folder / "lake" / "payload").exists()
    assert len(abandoned([left(tmp_path / "control").parent])) == 1, "the control"


def _link(place: Path) -> Path:
    folder = left(place / "real")
    (place / "editflow-rerun-abc").symlink_to(folder)
    return folder


def _owner_link(place: Path) -> Path:
    folder, there = left(place), left(place / "real")
    (folder / OWNER).unlink()
    (folder / OWNER).symlink_to(there / OWNER)
    return folder


def _owner_pipe(place: Path) -> Path:
    folder = left(place)
    (folder / OWNER).unlink()
    os.mkfifo(folder / OWNER)
    return folder


def _file(place: Path) -> Path:
    path = place / "editflow-rerun-abc"
    path.write_text(json.dumps(GONE))
    return path


@pytest.mark.parametrize("make", [_link, _owner_link, _owner_pipe, _file])
def test_no_link_is_followed_and_no_pipe_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    assert abandoned([tmp_path]) == []
    assert folder.exists()


def test_another_users_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(tmp_path)
    (found,) = abandoned([tmp_path])
    monkeypatch.setattr(temporary_folders.os, "getuid", lambda: os.geteuid() + 1)
    assert abandoned([tmp_path]) == []
    assert not clear(found)


def test_links_inside_go_and_nothing_behind_them(tmp_path: Path) -> None:
    """As in a lake that borrows another one's payloads."""
    folder, other = left(tmp_path), tmp_path / "other"
    other.mkdir()
    (other / "payload").write_bytes(b"kept")
    (folder / "lake" / "borrowed").symlink_to(other / "payload")
    (folder / "lake" / "folder").symlink_to(other)
    (found,) = abandoned([tmp_path])
    assert found.bytes < 2000
    assert clear(found)
    assert (other / "payload").read_bytes() == b"kept"


def test_one_that_was_just_being_made(tmp_path: Path) -> None:
    """Killed before it had an owner: nothing is in it, and in time it goes."""
    for name, made in (("a", None), ("b", ""), ("c", "x")):
        folder = tmp_path / f"editflow-copy-{name}"
        folder.mkdir()
        if made is not None:
            (folder / OWNER).write_text(made)
    assert abandoned([tmp_path]) == [], "the control: it is young"
    for folder in tmp_path.iterdir():
        os.utime(folder, (OLD, OLD))
    assert [found.path.name[-1] for found in abandoned([tmp_path])] == ["a", "b"]
    assert all(map(clear, abandoned([tmp_path])))


def test_it_is_looked_at_again_before_it_goes(tmp_path: Path) -> None:
    folder = left(tmp_path)
    (found,) = abandoned([tmp_path])
    (folder / OWNER).write_text(json.dumps(vars(Owner.me())))
    assert not clear(found)
    assert folder.exists()
    (folder / OWNER).write_text(json.dumps(GONE))
    assert clear(found), "the control"
    assert not clear(found)
    assert abandoned([tmp_path / "nowhere"]) == []


def test_a_number_that_was_given_out_again(tmp_path: Path) -> None:
    me = psutil.Process()
    left(tmp_path, owner=GONE | {"pid": me.pid, "started": me.create_time() - 1000})
    assert len(abandoned([tmp_path])) == 1


def test_links_of_a_model_go_after_a_day(tmp_path: Path) -> None:
    """A model is loaded through them; who was killed meanwhile has named no owner."""
    weights, folder = tmp_path / "weights", tmp_path / "editflow-model-x"
    weights.write_bytes(b"kept")
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(weights)
    os.utime(folder, (OLD, OLD))
    assert abandoned([tmp_path]) == [], "it may be loaded now"
    os.utime(folder, (OLD - 24 * 3600, OLD - 24 * 3600))
    (found,) = abandoned([tmp_path])
    assert clear(found)
    assert weights.read_bytes() == b"kept"


OWN: dict[str, Callable[[Path], object]] = {
    "weights": lambda folder: (folder / "model.safetensors").write_bytes(b"kept"),
    "a configuration": lambda folder: (folder / "config.json").write_text("{}"),
    "a folder": lambda folder: (folder / "tokenizer_config.json").mkdir(),
    "a large file": lambda folder: os.truncate(_empty(folder / "model.safetensors.index.json"), 2**30),
}


def _empty(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("name", OWN)
def test_a_model_folder_with_files_of_its_own_stays(tmp_path: Path, name: str) -> None:
    """It has a name like those of loading, but somebody keeps a model in it."""
    folder = tmp_path / "editflow-model-mine"
    folder.mkdir()
    (folder / "merges.txt").symlink_to(tmp_path / "merges")
    OWN[name](folder)
    os.utime(folder, (OLD - 24 * 3600, OLD - 24 * 3600))
    assert abandoned([tmp_path]) == []
    assert len([*folder.iterdir()]) == 2
    shutil.rmtree(folder)
    folder.mkdir()
    for written in ("tokenizer_config.json", "model.safetensors.index.json"):
        (folder / written).write_text("{}")
    os.utime(folder, (OLD - 24 * 3600, OLD - 24 * 3600))
    assert len(abandoned([tmp_path])) == 1, "the control"
