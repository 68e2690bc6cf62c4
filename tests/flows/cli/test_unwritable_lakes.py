"""A lake that cannot be written, or a full disk: one line, and no partly written artifact."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import tiny_world
from support.error_checks import refused, unharmed
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/lake", "/sys/lake"])
def test_an_unwritable_lake_is_named(world: World, tmp_path: Path, place: str) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    lake = {"file": file, "below a file": file / "lake"}.get(place, Path(place))
    refused(editflow("run", world.spec, "--lake", lake), str(lake))
    assert file.read_text() == "not a folder"


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Limit the files of this process to `size` bytes inside the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_continues_after_a_failed_write(world: World, server: str, reference, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with file_size_limit(20_000):
        answer = editflow("run", world.spec, "--lake", lake)
    refused(answer, "no space left", "payload-")
    unharmed(lake, *{m.kind for m in Lake.open(lake).manifests()} - {"second_moment"})
    # Without the limit, the run reuses what was written and gives the same results.
    there = tiny_world.digests(lake)
    record = tiny_world.run(world.spec, lake)
    assert {use["artifact"] for use in record["uses"] if use["how"] == "reused"} == set(there)
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`small_disk(kib)`: a real file system of that size."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(kib: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        return place

    try:
        yield mount
    finally:
        if place.is_mount():
            subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("kib", [100, 300, 500])
def test_a_full_disk_leaves_a_valid_lake(
    world: World, server: str, reference, small_disk: Callable[[int], Path], tmp_path: Path, kib: int
) -> None:
    lake = small_disk(kib) / "lake"
    answer = editflow("run", world.spec, "--lake", lake)
    refused(answer)
    assert "room" in answer.err or "space" in answer.err.lower()
    tiny_world.sound(lake)
    assert tiny_world.digests(lake).items() <= tiny_world.digests(reference.lake).items()
