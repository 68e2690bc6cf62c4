"""Writes are atomic, and a full or read-only disk is a one-line error."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from editflow.storage.artifacts.codec import packed_rows
from editflow.storage.errors import LakeNotWritable
from editflow.storage.files import ROW_GROUP_BYTES, Files

FILL = """
import resource, signal, sys
import numpy as np
from editflow.storage.artifacts.codec import matrix_rows
from editflow.storage.errors import StorageError
from editflow.storage.files import Files
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
files = Files(sys.argv[1])
noise = np.random.default_rng(0).standard_normal((300, 300))
for write in (lambda: files.write_parquet("a/b.parquet", matrix_rows([(0, "m", noise)])),
              lambda: files.create("a/b.json", noise.tobytes())):
    try:
        write()
        print("written")
    except StorageError as error:
        print(type(error).__name__, error)
print(files.list("a"), files.path("a"))
"""


def visible(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_create_is_exclusive(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.create("a/b.json", b"one")
    with pytest.raises(FileExistsError):
        files.create("a/b.json", b"two")
    assert (files.read("a/b.json"), visible(tmp_path)) == (b"one", ["a/b.json"])


def test_a_failing_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(parquet.ParquetWriter):  # type: ignore[misc]
        def write_table(self, *arguments: object, **options: object) -> None:
            super().write_table(*arguments, **options)
            raise RuntimeError("in the middle")

    files, table = Files(tmp_path), pa.table({"a": [1, 2]})
    monkeypatch.setattr(parquet, "ParquetWriter", Failing)
    with pytest.raises(RuntimeError, match="in the middle"):
        files.write_parquet("a/b.parquet", table)
    assert (visible(tmp_path), files.list("a")) == ([], [])
    monkeypatch.undo()
    files.write_parquet("a/b.parquet", table)
    assert visible(tmp_path) == ["a/b.parquet"]


def test_temporary_files_of_a_killed_process_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.tmp-123").write_bytes(b"half")
    assert Files(tmp_path).list("a") == []


def test_size_and_hash_are_those_of_the_file(tmp_path: Path) -> None:
    import hashlib

    files = Files(tmp_path)
    size, sha256 = files.write_parquet("a.parquet", pa.table({"a": [1.0], "b": ["x"]}))
    data = (tmp_path / "a.parquet").read_bytes()
    assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert bytes(files.buffer("a.parquet")) == files.read("a.parquet") == data


def test_row_groups_stay_under_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a packed triangle differ in length, so an average row would mislead."""
    assert ROW_GROUP_BYTES == 64 * 2**20
    monkeypatch.setattr("editflow.storage.files.ROW_GROUP_BYTES", 20_000)
    half = np.random.default_rng(0).standard_normal((120, 120))
    Files(tmp_path).write_parquet("a.parquet", packed_rows([(0, "m", half + half.T)]))
    stored = parquet.ParquetFile(tmp_path / "a.parquet")
    groups = [stored.read_row_group(i) for i in range(stored.num_row_groups)]
    assert len(groups) > 2
    assert max(group.nbytes for group in groups) < 20_000
    assert sum(group.num_rows for group in groups) == 120


def test_a_file_size_limit_is_reported_as_a_full_disk(
    tmp_path: Path, script: Callable[..., "subprocess.Popen[str]"]
) -> None:
    assert script(FILL, tmp_path).communicate()[0].startswith("written\nwritten\n")
    limited = tmp_path / "limited"
    lines = script(FILL, limited, "limit").communicate()[0].splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["DiskFull", "DiskFull"]
    assert "bytes free, a quota or file size limit applies); free some" in lines[0]
    assert lines[2].startswith("[] ")
    assert visible(limited) == []


def test_a_full_disk_is_reported_and_left_clean(tmp_path: Path) -> None:
    """On a real file system of 200 kB, if this process may mount one."""
    mounted = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=200k tmpfs "$1" && exec "$2" -c "$3" "$1"']
    run = subprocess.run(
        [*mounted, "sh", str(tmp_path), sys.executable, FILL],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    if "DiskFull" not in run.stdout and run.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {run.stderr.strip()[:80]}")
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["DiskFull", "DiskFull"]
    assert "No space left" in lines[0]
    assert lines[2].startswith("[] ")


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Run the test without root privileges, because root ignores permissions."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.usefixtures("unprivileged")
def test_the_error_names_a_folder_without_write_permission() -> None:
    files = Files("/editflow-lake")
    with pytest.raises(LakeNotWritable, match=r"cannot write /editflow-lake/a.*: Permission denied; check"):
        files.create("a/b.json", b"")


def test_the_error_names_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("not a folder")
    for write in (
        lambda: Files(tmp_path).create("a/b.json", b""),
        lambda: Files(tmp_path).write_parquet("a/b/c.parquet", pa.table({"a": [1]})),
    ):
        with pytest.raises(LakeNotWritable, match=r"cannot write .*/a"):
            write()
    assert Files(tmp_path).size("a/b") is None
    assert Files(tmp_path).list("a") == []


def test_object_storage_through_fsspec(tmp_path: Path) -> None:
    """The same contract on object storage (fsspec's in-memory file system)."""
    files = Files(f"memory://{tmp_path}")
    files.create("a/b.json", b"one")
    with pytest.raises(FileExistsError):
        files.create("a/b.json", b"two")
    table = pa.table({"a": [1.0, 2.0]})
    size, _ = files.write_parquet("a/c.parquet", table)
    assert files.list("a") == ["b.json", "c.parquet"]
    assert (files.size("a/c.parquet"), files.size("a/d")) == (size, None)
    assert parquet.read_table(pa.BufferReader(files.buffer("a/c.parquet"))).equals(table)
    files.move("a/c.parquet", "a/d.parquet")
    files.remove("a/b.json")
    assert files.list("a") == ["d.parquet"]
