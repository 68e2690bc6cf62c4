"""Whatever exists at an output path: files are replaced, streams are written to, everything else is unchanged."""

from __future__ import annotations

import errno
import os
import pty
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import Answer, World, editflow

from editflow.flows.console import output_files, output_places
from editflow.flows.console.errors import UsageError
from editflow.flows.tuning.arguments import MARK, TuneArguments, check

pytestmark = pytest.mark.slow

Write = Callable[[object], Answer]
WRITERS = {
    "a graph": ("lineage", "STATE", "--html"),
    "events": ("export-run", "last", "--openlineage", "--out"),
    "a packed run": ("export-run", "last", "--out"),
    "a report": ("report", "last", "--out"),
}


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A lake with a run, and the run's state; the lake already has its reports."""
    lake = tmp_path_factory.mktemp("written") / "lake"
    return lake, str(tiny_world.record_directly(world.spec, lake).state)


@pytest.fixture(params=[words for words in WRITERS.values() if "report" not in words])
def write(request: pytest.FixtureRequest, made: tuple[Path, str]) -> Write:
    """A command that writes to a path; a report takes longer but is written in the same way."""
    return writing(request.param, made)


def writing(words: tuple[str, ...], made: tuple[Path, str]) -> Write:
    lake, state = made
    words = tuple(state if word == "STATE" else word for word in words)
    return lambda path: editflow(*words, path, "--lake", lake)


@pytest.fixture
def graph(made: tuple[Path, str]) -> Write:
    """The fastest of these commands."""
    return writing(WRITERS["a graph"], made)


@pytest.fixture
def device(tmp_path: Path) -> Callable[[int, int, int], Path]:
    """`device(kind, major, minor)`: a device node for this test."""

    def node(kind: int, major: int, minor: int) -> Path:
        path = tmp_path / f"device-{major}-{minor}"
        try:
            os.mknod(path, kind | 0o666, os.makedev(major, minor))
        except PermissionError:
            pytest.skip("only root makes device nodes")
        return path

    return node


@contextmanager
def reader(path: Path) -> Iterator[list[bytes]]:
    """The text that another thread reads from a pipe meanwhile."""
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    thread.start()
    yield read
    thread.join(timeout=60)


def unchanged(path: Path, *, work: Callable[[], object]) -> None:
    before = path.lstat()
    work()
    after = path.lstat()
    assert (after.st_mode, after.st_rdev, after.st_ino) == (before.st_mode, before.st_rdev, before.st_ino)


def untouched(folder: Path) -> None:
    assert not list(folder.rglob(".tmp-*"))


def test_the_null_device_is_written_into_and_stays(write: Write, device, tmp_path: Path) -> None:
    null = device(stat.S_IFCHR, 1, 3)

    def work() -> None:
        answer = write(null)
        assert answer.code == 0, answer.err

    unchanged(null, work=work)
    untouched(tmp_path)


@pytest.mark.parametrize(
    ("kind", "major", "minor"),
    [(stat.S_IFCHR, 1, 7), (stat.S_IFCHR, 1, 5), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 10, 130), (stat.S_IFBLK, 7, 250)],
    ids=["full", "zero", "memory", "watchdog", "disk"],
)
def test_other_devices_are_refused_unopened(graph: Write, device, kind: int, major: int, minor: int) -> None:
    node = device(kind, major, minor)
    unchanged(node, work=lambda: refused(graph(node), "device", "give a file"))
    link = node.with_name("link")
    link.symlink_to(node)
    unchanged(node, work=lambda: refused(graph(link), "device"))


def test_a_named_pipe_is_written_into(write: Write, tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)

    def work() -> None:
        with reader(pipe) as read:
            answer = write(pipe)
            assert answer.code == 0, answer.err
        assert write(file).code == 0
        assert read == [file.read_bytes()]

    unchanged(pipe, work=work)
    untouched(tmp_path)


def test_a_pipe_without_a_reader_does_not_block(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_places, "PATIENCE", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    unchanged(pipe, work=lambda: refused(write(pipe), "pipe", "reader"))


def test_an_open_descriptor_is_written_to(graph: Write, tmp_path: Path) -> None:
    """As a shell gives it: `--out >(cat)`, `/dev/stdout`; a file is written from its current position."""
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before ")
        log.flush()
        for folder in ("/dev/fd", "/proc/self/fd", f"/proc/{os.getpid()}/fd"):
            assert graph(f"{folder}/{log.fileno()}").code == 0
        link = tmp_path / "link"
        link.symlink_to(f"/dev/fd/{log.fileno()}")
        unchanged(link, work=lambda: graph(link))
        log.write(b" after")
    page = tmp_path / "page"
    assert graph(page).code == 0
    assert (tmp_path / "log").read_bytes() == b"before " + 4 * page.read_bytes() + b" after"


@pytest.mark.parametrize("name", ["999", "-1", "x", "99999999999999999999"])
def test_a_closed_descriptor_is_refused(graph: Write, name: str) -> None:
    refused(graph(f"/dev/fd/{name}"), "not open")


def test_a_descriptor_that_cannot_be_written_is_refused(graph: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as only:
        refused(graph(f"/dev/fd/{only.fileno()}"), "reading only")


def test_a_reader_that_ends_early_is_one_line() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        with pytest.raises(UsageError, match="has ended"):
            output_files.write(Path(f"/dev/fd/{write}"), b"x", "page")
    finally:
        os.close(write)


def test_a_terminal_gets_no_commands() -> None:
    ours, theirs = pty.openpty()
    try:
        for path in (Path(f"/dev/fd/{theirs}"), Path(os.ttyname(theirs))):
            output_files.write(path, "plain é text".encode(), "page")
            assert os.read(ours, 100) == "plain é text".encode()
            for command in (b"\x1b[2J", b"a\x07", "\x9b2J".encode()):
                with pytest.raises(UsageError, match="terminal"):
                    output_files.write(path, command, "page")
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_link_is_followed_and_stays(write: Write, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    file, first, second = place / "file", tmp_path / "first", place / "second"
    file.write_bytes(b"old")
    file.chmod(0o640)
    first.symlink_to("elsewhere/second")  # from its own folder
    second.symlink_to("file")

    def work() -> None:
        answer = write(first)
        assert answer.code == 0, answer.err

    unchanged(first, work=work)
    assert file.read_bytes() != b"old"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in place.iterdir()) == ["file", "second"]


def test_a_link_to_a_missing_file_creates_it(graph: Write, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new")
    unchanged(link, work=lambda: graph(link))
    assert (tmp_path / "new").read_bytes()
    nowhere = tmp_path / "nowhere"
    nowhere.symlink_to(tmp_path / "no" / "file")
    unchanged(nowhere, work=lambda: refused(graph(nowhere), "no folder"))
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    unchanged(circle, work=lambda: refused(graph(circle), "circle", "itself"))


def test_a_regular_file_keeps_its_mode_and_a_new_one_has_the_usual(graph: Write, tmp_path: Path) -> None:
    old, new, control = (tmp_path / name for name in ("old", "new", "control"))
    control.touch()
    for mode in (0o600, 0o664, 0o755):
        old.write_bytes(b"old")
        old.chmod(mode)
        assert graph(old).code == 0
        assert stat.S_IMODE(old.stat().st_mode) == mode
    assert graph(new).code == 0
    assert new.stat().st_mode == control.stat().st_mode
    assert new.read_bytes() == old.read_bytes()


WRONG = {
    "a folder": (".", "folder"),
    "the folder above": ("sub/..", "folder"),
    "below a file": ("file/page", "no folder"),
    "a folder that is not there": ("no/page", "no folder"),
    "a socket": ("socket", "socket"),
    "too long a name": ("x" * 300, "too long"),
    "too long a path": ("sub/" * 2000 + "x", "too long"),
    "a line end": ("a\nb", "line end"),
    "a control character": ("a\x1b[31mb", "not text"),
    "bytes that are no text": (os.fsdecode(b"a\xff"), "text"),
    "nobody's home": ("~nobody-of-this-name/x", "home"),
    "the kernel's files": ("/proc/self/comm", "holds no files"),
    "a new file among them": ("/proc/x", "holds no files"),
    "the system's": ("/sys/kernel/x", "holds no files"),
    "a device misspelt": ("/dev/nulll", "holds no files"),
}


@pytest.mark.parametrize(("given", "fragment"), WRONG.values(), ids=WRONG)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    made: tuple[Path, str], given: str, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("the work was begun")

    for place in (
        "editflow.tasks.report.report_stage.report",
        "editflow.tasks.lineage.lineage_page.render",
        "editflow.flows.reproduction.export_bundle.export_bundle",
    ):
        monkeypatch.setattr(place, work)
    monkeypatch.setattr("editflow.tasks.lineage.openlineage.events", work)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "sub").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for words in WRITERS.values():
            refused(writing(words, made)(given), fragment)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "socket", "sub"]


def test_an_unwritable_folder_is_refused(graph: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    refused(graph(tmp_path / "page"), "Permission denied")
    (tmp_path / "page").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, *_, **__: path != "page")
    refused(graph(tmp_path / "page"), "write-protected")
    assert (tmp_path / "page").read_bytes() == b"old"


LIMITED = """
import resource, sys
from pathlib import Path
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output_files import write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(Path(sys.argv[1]), b"x" * 5000, "page")
except UsageError as error:
    print(error)
"""


def test_a_file_is_unchanged_if_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page"
    file.write_bytes(b"old")
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", LIMITED, file], capture_output=True, text=True, cwd=root, check=True)
    assert "too large" in done.stdout

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        output_files.write(file, b"new", "page")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_file_created_there_in_between_is_left_alone(tmp_path: Path) -> None:
    with output_files.target(tmp_path / "page", "page", "page") as found:
        os.mkfifo(tmp_path / "page")
        with pytest.raises(UsageError, match="cannot be written"):
            found.write(b"new")
    assert (tmp_path / "page").is_fifo()
    untouched(tmp_path)


def test_the_folder_is_the_one_that_was_opened(tmp_path: Path) -> None:
    """If the folder is replaced by a link meanwhile, the link is not followed."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    with output_files.target(tmp_path / "ours" / "page", "page", "page") as found:
        (tmp_path / "ours").rename(tmp_path / "moved")
        (tmp_path / "ours").symlink_to("theirs")
        found.write(b"new")
    assert (tmp_path / "moved" / "page").read_bytes() == b"new"
    assert not list((tmp_path / "theirs").iterdir())


def test_a_folder_as_output_gets_the_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "nowhere").symlink_to("no")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "new"):
        assert output_files.folder(tmp_path / name, "comparison") == tmp_path / name
    for name in ("nowhere", "file", "pipe", "no/new", "file/new", "a\nb"):
        with pytest.raises(UsageError):
            output_files.folder(tmp_path / name, "comparison")
    for name in ("/proc/self", "/proc/new", "/sys", "/dev/null"):
        with pytest.raises(UsageError):
            output_files.folder(Path(name), "comparison")
    assert not (tmp_path / "new").exists()


def test_tune_replaces_only_a_spec_that_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device) -> None:
    def asked(path: Path) -> None:
        check(TuneArguments("model", "facts", 1, out=path))

    own, other, link, pipe = (tmp_path / name for name in ("own", "other", "link", "pipe"))
    own.write_text(f"{MARK}\n")
    other.write_text("mine")
    link.symlink_to(other)
    os.mkfifo(pipe)
    for path in (own, pipe, tmp_path / "new", Path("/dev/fd/2")):
        asked(path)  # the pipe does not block before the work
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (other, link, Path("~/other")):
        with pytest.raises(UsageError, match="was not written by"):
            asked(path)
    for path in (tmp_path, device(stat.S_IFCHR, 1, 5), tmp_path / "a\nb"):
        with pytest.raises(UsageError, match="--out"):
            asked(path)
