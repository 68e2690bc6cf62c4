"""The watch over the hostile cases detects commands that deliberately break each rule."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.hostile_cases import laws
from support.hostile_cases.case import Ask, Case
from support.hostile_cases.foreign_code import Payload, code
from support.hostile_cases.good import SECRET
from support.hostile_cases.laws import Watch, clear, watched

pytestmark = pytest.mark.slow

Act = Callable[[Watch, Path], object]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with watched(tmp_path_factory.mktemp("watched") / "base") as made:
        yield made


def breaches(watch: Watch, act: Act, **more: object) -> list[str]:
    folder = watch.cases / "control"
    folder.mkdir()
    (folder / "input").write_text("in")
    ask = Ask(("control",), lambda: act(watch, folder), keeps=(folder / "input",), **more)  # type: ignore[arg-type]
    made = Case(0, "control", "nothing", ask, folder)
    try:
        return watch.judge(made).breaches
    finally:
        clear(made)


def _zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "out.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("record.json", f"a {SECRET} of somebody")


def _left(_watch: Watch, _folder: Path) -> None:
    """A process whose parent has ended."""
    program = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    subprocess.run([sys.executable, "-c", program], check=True)


def _unpickled(file: str, port: int) -> None:
    """Deliberately unpickle, so that the watch must detect that the pickle's code has run."""
    pickle.loads(pickle.dumps(Payload(file, port)))  # noqa: S301 - bytes made here


def _called(watch: Watch) -> None:
    """A call that ends after the listener has counted it, because it answers after counting."""
    with socket.create_connection(("127.0.0.1", watch.listener.port)) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert caller.recv(1)


def _raise(error: BaseException) -> None:
    raise error


BAD: dict[str, tuple[Act, str]] = {
    "writes outside": (lambda w, _: (w.good.outside / "planted").write_text("x"), "planted was written"),
    "deletes outside": (lambda w, _: (w.good.outside / "planted").unlink(), "planted was written, changed or removed"),
    "changes a file outside": (lambda w, _: (w.good.outside / "plain.txt").write_text("more"), "plain.txt was written"),
    "writes into a good thing": (lambda w, _: (w.good.lake / "x").write_text("x"), "was written"),
    "leaves a temporary folder": (lambda _w, _f: tempfile.mkdtemp(), "tmp/"),
    "changes what it reads": (lambda _, f: (f / "input").write_text("out"), "input was changed"),
    "removes what it reads": (lambda _, f: (f / "input").unlink(), "input was changed"),
    "prints a secret": (lambda _w, _f: print(f"read: {SECRET}"), "was printed"),
    "logs a secret": (lambda _w, _f: print(SECRET, file=sys.stderr), "was printed"),
    "raises a secret": (lambda _w, _f: _raise(ValueError(SECRET)), "was printed"),
    "keeps a secret": (lambda _, f: (f / "log").write_text(SECRET), "was written into log"),
    "packs a secret": (lambda _, f: _zipped(f), "was written into out.zip"),
    "stores a secret": (lambda _, f: parquet.write_table(pa.table({"a": [SECRET] * 9}), f / "a.parquet"),
    "into a.parquet"),
    "runs code": (lambda w, f: exec(code(str(f / "ran"), w.listener.port)), "its file is there"),  # noqa: S102
    "reads a pickle": (lambda w, f: _unpickled(str(f / "ran"), w.listener.port), "variable is set"),
    "calls an address": (lambda w, _: _called(w), "was called"),
    "leaves a process": (lambda _w, _f: subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]),
    "a process is left"),
    "leaves an orphan": (_left, "a process is left"),
    "raises an error of no class of ours": (lambda _w, _f: {}["x"], "KeyError"),
    "ends otherwise": (lambda _w, _f: sys.exit(3), "exit code 3"),
    "ends as if wrong": (lambda _w, _f: sys.exit(1), "exit code 1"),
    "refuses without a word": (lambda _w, _f: sys.exit(2), "0 error lines"),
    "prints a trace": (lambda _w, _f: print("Traceback (most recent call last):"), "a traceback was printed"),
    "takes all memory": (lambda _w, _f: bytearray(1 << 36), "MemoryError"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_each_broken_rule_is_detected(watch: Watch, name: str) -> None:
    act, word = BAD[name]
    if "outside" in name:  # the files to be deleted or changed exist and are recorded
        for file in ("planted", "plain.txt"):
            (watch.good.outside / file).unlink(missing_ok=True)
            if name != "writes outside":
                (watch.good.outside / file).write_text("plain")
        breaches(watch, lambda _w, _f: None)
    before = watch.living.copy()
    found = breaches(watch, act)
    for pid in watch.living - before:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert any(word in breach for breach in found), found
    for left in (watch.good.lake / "x", *(watch.good.base / "tmp").iterdir()):
        left.rmdir() if left.is_dir() else left.unlink(missing_ok=True)
    for file in ("planted", "plain.txt"):
        (watch.good.outside / file).unlink(missing_ok=True)
    breaches(watch, lambda _w, _f: None)  # the state is clean again
    assert breaches(watch, lambda _w, _f: None) == []


def test_a_command_that_hangs_is_ended(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "LIMIT", 0.2)
    pipe = watch.good.base / "cases" / "pipe"
    os.mkfifo(pipe)
    for act in (lambda _w, _f: time.sleep(600), lambda _w, _f: pipe.read_text(), lambda _w, _f: _swallowing()):
        assert any("hang" in breach for breach in breaches(watch, act))


def _swallowing() -> None:
    while True:
        try:
            time.sleep(600)
        except Exception:  # noqa: BLE001, S112
            continue


def test_a_change_that_restores_times_is_detected(watch: Watch) -> None:
    watch.check_bytes()
    path = watch.good.outside / "secret.jsonl"
    was, times = path.read_bytes(), path.stat()
    path.write_bytes(was[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(AssertionError):
        watch.check_bytes()
    path.write_bytes(was)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    watch.check_bytes()


def test_a_correct_command_breaks_no_rule(watch: Watch) -> None:
    """It may change its own folder, be refused as expected, and connect to a requested address."""

    def act(given: Watch, folder: Path) -> None:
        (folder / "lake").mkdir()
        (folder / "lake" / "file").write_text("made")
        _called(given)
        print("error: no such thing", file=sys.stderr)
        sys.exit(2)

    assert breaches(watch, act, connects=True) == []
