"""Data from packages: the real pip without an index fetches hand-made wheels from a folder."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from editflow.tasks.errors import FetchFailed
from editflow.tasks.sources.packaged_data import Packaged, fetch

pytestmark = pytest.mark.slow

DATA = b"numbers, and more numbers\n" * 40
ITEM = Packaged(
    "sample", "editflow-fetch-sample==1.0", "editflow_fetch_sample/data/numbers.bin",
    hashlib.sha256(DATA).hexdigest(), "a sample",
)  # fmt: skip
TRAP = "raise RuntimeError('the package was imported')\n"


def make_wheel(folder: Path, data: bytes = DATA) -> Path:
    """A wheel with one data file, and code that must never run."""
    info = "editflow_fetch_sample-1.0.dist-info"
    files = {
        "editflow_fetch_sample/__init__.py": TRAP,
        ITEM.member: data,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: editflow-fetch-sample\nVersion: 1.0\nRequires-Dist: absent\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = folder / "editflow_fetch_sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def make_source(folder: Path, mark: Path) -> None:
    """A source package whose setup script creates the file `mark` when it is run."""
    script = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n".encode()
    with tarfile.open(folder / "editflow_fetch_sample-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("editflow_fetch_sample-1.0/setup.py")
        member.size = len(script)
        archive.addfile(member, io.BytesIO(script))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own cache."""
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that pip searches: no index, and no settings of the machine."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def refused(item: Packaged, *fragments: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch(item)
    assert len(str(caught.value).splitlines()) == 1
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_file_is_downloaded_once(cache: Path, packages: Path) -> None:
    wheel = make_wheel(packages)
    assert fetch(ITEM) == (ITEM.path, True)
    assert ITEM.path.read_bytes() == DATA
    assert files(cache) == [ITEM.path]
    wheel.unlink()
    assert fetch(ITEM) == (ITEM.path, False)
    with pytest.raises(FetchFailed):  # the package is no longer available
        fetch(ITEM, force=True)
    assert fetch(ITEM) == (ITEM.path, False)  # a failed download keeps the old file


def test_a_damaged_file_in_the_cache_is_fetched_again(cache: Path, packages: Path) -> None:
    make_wheel(packages)
    fetch(ITEM)
    ITEM.path.write_bytes(DATA[:-1] + b"!")
    assert fetch(ITEM) == (ITEM.path, True)
    assert ITEM.path.read_bytes() == DATA
    assert files(cache) == [ITEM.path]


def test_data_with_another_digest_is_not_kept(cache: Path, packages: Path) -> None:
    make_wheel(packages, DATA + b"more")
    refused(ITEM, ITEM.member, ITEM.sha256, hashlib.sha256(DATA + b"more").hexdigest(), "nothing was kept")
    assert files(cache) == []


def test_a_package_without_the_file_is_refused(cache: Path, packages: Path) -> None:
    make_wheel(packages)
    refused(replace(ITEM, member="editflow_fetch_sample/data/letters.bin"), "letters.bin")
    assert files(cache) == []


def test_an_unknown_package_is_refused(cache: Path, packages: Path) -> None:
    make_wheel(packages)
    refused(
        replace(ITEM, package="editflow-fetch-sample==2.0"), "editflow-fetch-sample==2.0", "could not be downloaded"
    )
    assert files(cache) == []


def test_a_broken_wheel_is_refused(cache: Path, packages: Path) -> None:
    wheel = make_wheel(packages)
    wheel.write_bytes(wheel.read_bytes()[:-200])
    refused(ITEM, ITEM.package, "could not be downloaded")
    assert files(cache) == []


def test_damaged_data_in_a_wheel_is_refused(cache: Path, packages: Path) -> None:
    wheel = make_wheel(packages)
    assert wheel.read_bytes().count(DATA) == 1  # stored as it is
    wheel.write_bytes(wheel.read_bytes().replace(DATA, DATA[:-1] + b"!"))
    refused(ITEM, wheel.name, "is damaged", "nothing was kept")
    assert files(cache) == []


def test_a_source_package_is_not_built(cache: Path, packages: Path, tmp_path: Path) -> None:
    make_source(packages, tmp_path / "built")
    refused(ITEM, "No matching distribution")
    assert files(cache) == []
    assert not (tmp_path / "built").exists()


def test_the_package_is_neither_imported_nor_installed(
    cache: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(packages)
    fetch(ITEM)
    assert files(cache) == [ITEM.path]
    assert "editflow_fetch_sample" not in sys.modules
    assert importlib.util.find_spec("editflow_fetch_sample") is None
    monkeypatch.syspath_prepend(wheel)
    with pytest.raises(RuntimeError, match="was imported"):  # an import would raise
        importlib.import_module("editflow_fetch_sample")
