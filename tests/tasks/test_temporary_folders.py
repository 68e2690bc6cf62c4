"""Temporary folders of killed processes are found by their recorded owners; others are left alone."""

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
from editflow.tasks.temporary_folders import OWNER, Owner, find_abandoned, remove_abandoned, temporary_folder

GONE = {"host": platform.node(), "pid": 2**22 + 1, "started": 1.0}
"""No process has this id: the maximum on Linux is 2**22."""
OLD = time.time() - 7200


def leave_folder(place: Path, name: str = "editflow-rerun-abc", owner: object = GONE) -> Path:
    """Create a folder of 1,000 bytes as a killed process leaves it."""
    folder = place / name
    (folder / "lake").mkdir(parents=True)
    (folder / "lake" / "payload").write_bytes(b"x" * 1000)
    text = owner if isinstance(owner, str) else json.dumps(owner)
    (folder / OWNER).write_text(text)
    return folder


def test_a_folder_exists_and_has_an_owner_during_its_block(tmp_path: Path) -> None:
    with temporary_folder("verify", tmp_path) as folder:
        assert folder.name.startswith("editflow-verify-")
        assert Owner.from_json(json.loads((folder / OWNER).read_text())) == Owner.current()
        assert find_abandoned([tmp_path]) == []
        assert folder.stat().st_mode & 0o077 == 0, "readable by its owner only"
    assert not folder.exists()


def test_a_folder_is_removed_if_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), temporary_folder("verify", tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_found_and_removed(tmp_path: Path) -> None:
    text = (
        "import os, sys; from pathlib import Path; from editflow.tasks.temporary_folders import temporary_folder\n"
        "with temporary_folder('copy', Path(sys.argv[1])) as folder:\n"
        "    (folder / 'copy.json').write_bytes(b'x' * 1000); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", text, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -9
    (found,) = find_abandoned([tmp_path, tmp_path])
    assert found.bytes >= 1000
    assert remove_abandoned(found)
    assert list(tmp_path.iterdir()) == []


OTHERS: dict[str, dict[str, Any]] = {
    "its process is running": {"owner": vars(Owner.current())},
    "another host's": {"owner": GONE | {"host": "elsewhere"}},
    "another name": {"name": "somebody-rerun-abc"},
    "no owner": {"owner": ""},
    "not JSON": {"owner": "{"},
    "not an object": {"owner": "[]"},
    "a text as process id": {"owner": GONE | {"pid": "1"}},
    "a negative process id": {"owner": GONE | {"pid": -1}},
    "a process id out of range": {"owner": GONE | {"pid": 2**70}},
    "a boolean as process id": {"owner": GONE | {"pid": True}},
    "a text as start time": {"owner": GONE | {"started": "x"}},
    "NaN as start time": {"owner": json.dumps(GONE | {"started": float("nan")})},
    "an infinite start time": {"owner": GONE | {"started": 10**400}},
    "no host": {"owner": {key: GONE[key] for key in ("pid", "started")}},
    "nested deeply": {"owner": "[" * 4000},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_folders_are_left_alone(tmp_path: Path, name: str) -> None:
    folder = leave_folder(tmp_path, **OTHERS[name])
    os.utime(folder, (OLD, OLD))
    assert find_abandoned([tmp_path]) == []
    assert (folder / "lake" / "payload").exists()
    assert len(find_abandoned([leave_folder(tmp_path / "control").parent])) == 1, "the control"


def _link(place: Path) -> Path:
    folder = leave_folder(place / "real")
    (place / "editflow-rerun-abc").symlink_to(folder)
    return folder


def _owner_link(place: Path) -> Path:
    folder, there = leave_folder(place), leave_folder(place / "real")
    (folder / OWNER).unlink()
    (folder / OWNER).symlink_to(there / OWNER)
    return folder


def _owner_pipe(place: Path) -> Path:
    folder = leave_folder(place)
    (folder / OWNER).unlink()
    os.mkfifo(folder / OWNER)
    return folder


def _file(place: Path) -> Path:
    path = place / "editflow-rerun-abc"
    path.write_text(json.dumps(GONE))
    return path


@pytest.mark.parametrize("make", [_link, _owner_link, _owner_pipe, _file])
def test_no_link_is_followed_and_no_pipe_is_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    assert find_abandoned([tmp_path]) == []
    assert folder.exists()


def test_folders_of_other_users_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_folder(tmp_path)
    (found,) = find_abandoned([tmp_path])
    monkeypatch.setattr(temporary_folders.os, "getuid", lambda: os.geteuid() + 1)
    assert find_abandoned([tmp_path]) == []
    assert not remove_abandoned(found)


def test_links_in_a_folder_are_removed_but_not_their_targets(tmp_path: Path) -> None:
    """For example in a lake that borrows payloads of another lake."""
    folder, other = leave_folder(tmp_path), tmp_path / "other"
    other.mkdir()
    (other / "payload").write_bytes(b"kept")
    (folder / "lake" / "borrowed").symlink_to(other / "payload")
    (folder / "lake" / "folder").symlink_to(other)
    (found,) = find_abandoned([tmp_path])
    assert found.bytes < 2000
    assert remove_abandoned(found)
    assert (other / "payload").read_bytes() == b"kept"


def test_a_folder_without_an_owner_is_removed_once_it_is_old(tmp_path: Path) -> None:
    """Its process was killed before it could record an owner."""
    for name, made in (("a", None), ("b", ""), ("c", "x")):
        folder = tmp_path / f"editflow-copy-{name}"
        folder.mkdir()
        if made is not None:
            (folder / OWNER).write_text(made)
    assert find_abandoned([tmp_path]) == [], "they are young"
    for folder in tmp_path.iterdir():
        os.utime(folder, (OLD, OLD))
    assert [found.path.name[-1] for found in find_abandoned([tmp_path])] == ["a", "b"]
    assert all(map(remove_abandoned, find_abandoned([tmp_path])))


def test_a_folder_is_checked_again_before_removal(tmp_path: Path) -> None:
    folder = leave_folder(tmp_path)
    (found,) = find_abandoned([tmp_path])
    (folder / OWNER).write_text(json.dumps(vars(Owner.current())))
    assert not remove_abandoned(found)
    assert folder.exists()
    (folder / OWNER).write_text(json.dumps(GONE))
    assert remove_abandoned(found), "the control"
    assert not remove_abandoned(found)
    assert find_abandoned([tmp_path / "nowhere"]) == []


def test_a_reused_process_id_is_not_the_owner(tmp_path: Path) -> None:
    me = psutil.Process()
    leave_folder(tmp_path, owner=GONE | {"pid": me.pid, "started": me.create_time() - 1000})
    assert len(find_abandoned([tmp_path])) == 1


def test_links_of_a_model_are_removed_after_a_day(tmp_path: Path) -> None:
    """A model is loaded through them; a process that is killed meanwhile has recorded no owner."""
    weights, folder = tmp_path / "weights", tmp_path / "editflow-model-x"
    weights.write_bytes(b"kept")
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(weights)
    os.utime(folder, (OLD, OLD))
    assert find_abandoned([tmp_path]) == [], "it may be loaded now"
    os.utime(folder, (OLD - 24 * 3600, OLD - 24 * 3600))
    (found,) = find_abandoned([tmp_path])
    assert remove_abandoned(found)
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
def test_a_folder_with_the_files_of_a_model_is_kept(tmp_path: Path, name: str) -> None:
    """Its name is like those of loading, but a user keeps a model in it."""
    folder = tmp_path / "editflow-model-mine"
    folder.mkdir()
    (folder / "merges.txt").symlink_to(tmp_path / "merges")
    OWN[name](folder)
    os.utime(folder, (OLD - 24 * 3600, OLD - 24 * 3600))
    assert find_abandoned([tmp_path]) == []
    assert len([*folder.iterdir()]) == 2
    shutil.rmtree(folder)
    folder.mkdir()
    for written in ("tokenizer_config.json", "model.safetensors.index.json"):
        (folder / written).write_text("{}")
    os.utime(folder, (OLD - 24 * 3600, OLD - 24 * 3600))
    assert len(find_abandoned([tmp_path])) == 1, "the control"
