"""What must hold of every case, and a watch that looks at all of it after each."""

from __future__ import annotations

import faulthandler
import os
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import FrameType

import pytest

from editflow.editing.errors import EditingError
from editflow.flows.cli.main import main
from editflow.flows.console.errors import UsageError
from editflow.storage.errors import StorageError
from editflow.tasks.errors import TaskError
from support.hostile_cases import offline, watch
from support.hostile_cases.case import Ask, Case
from support.hostile_cases.cases import case
from support.hostile_cases.good import SECRET, Good, make
from support.hostile_cases.lake_tricks import ADDRESS

CASES, HALF, SHARE = 1_000, 500, 50
"""How many `make test-all` asks, how many of them in one file, and in one test."""
LIMIT = float(os.environ.get("EDITFLOW_CASE_SECONDS", "300"))
"""A case that takes longer hangs: no case has a second's work to do, but the machine may have other work."""
ROOM = 8 << 30
"""Bytes of address space that a case may add to what there is; a machine must not end with it."""
SECRETS = (SECRET, ADDRESS)
MENDABLE = (EditingError, StorageError, TaskError, UsageError, OSError)
"""What the command line turns into a line, where a function under it is asked in its place."""


class Hang(BaseException):
    """The case's time is over. No `except Exception` may take it for its own."""


@dataclass(frozen=True)
class Came:
    """How a question ended. `code` is None where it did not end as a command may."""

    code: int | None
    out: str
    err: str
    raised: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of a case, and every law that did not hold, in words."""

    came: Came
    breaches: list[str]


class Terminal(StringIO):
    """Somebody who says yes to everything."""

    def isatty(self) -> bool:
        return True


class Watch:
    """Knows what is there before a case, and what of it a case has touched."""

    def __init__(self, good: Good) -> None:
        watch.adopt()
        self.good, self.listener = good, watch.Listener()
        self.cases = good.base / "cases"
        self.there = self._seen()
        self.digest = watch.digest(good.outside)
        self.living = watch.children()

    def _seen(self) -> watch.Seen:
        return watch.seen(self.good.base, (str(self.cases), str(self.good.base / "cache")))

    def judge(self, case: Case) -> Verdict:
        """Ask what the case asks, and hold every law against what came."""
        kept = {str(path): watch.seen(path) if path.is_dir() and not path.is_symlink() else os.lstat(path).st_mtime_ns
                for path in case.ask.keeps if os.path.lexists(path)}  # fmt: skip
        inside, came_before = watch.seen(case.folder), self.listener.came
        came = self._asked(case)
        found = list(_ending(case.ask, came))
        found += [f"{name} was changed" for name, was in kept.items() if _now(name) != was]
        found += self._outside()
        found += self._code(case, came_before)
        found += self._secrets(case, came, inside)
        return Verdict(came, [f"{breach}\n    {_tail(came)}" for breach in found])

    def _asked(self, case: Case) -> Came:
        before = Path.cwd()
        os.chdir(case.folder)
        try:
            return asked(case.ask)
        finally:
            os.chdir(before)

    def _outside(self) -> Iterator[str]:
        now = self._seen()
        if other := watch.moved(self.there, now):
            yield f"outside the case {other[0]} was written, changed or removed ({len(other)} in all)"
        self.there = now

    def check_bytes(self) -> None:
        """Every byte of what nobody may touch, once in a while."""
        assert watch.digest(self.good.outside) == self.digest

    def _code(self, case: Case, came_before: int) -> Iterator[str]:
        if (case.folder / "ran").exists():
            (case.folder / "ran").unlink()
            yield "foreign code has run: its file is there"
        if os.environ.pop(watch.MARK, None):
            yield "foreign code has run: its variable is set"
        if self.listener.came > came_before and not case.ask.connects:
            yield "an address that nobody asked for was called"
        if new := watch.children() - self.living:
            yield f"a process is left: {sorted(new)}"
            self.living |= new

    def _secrets(self, case: Case, came: Came, inside: watch.Seen) -> Iterator[str]:
        secrets = (*SECRETS, *case.ask.secrets)
        if leaked := [secret for secret in secrets if secret in came.out + came.err + came.raised]:
            yield f"{leaked[0]} was printed"
        for name, about in watch.seen(case.folder).items():
            path = Path(name)
            if inside.get(name) == about or path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 26:
                continue
            own = path.is_relative_to(case.folder / "lake")  # which may hold what its records held before
            hidden = [secret for secret in secrets if not (own and secret == ADDRESS and case.kind == "lake")]
            for said in watch.told(path):
                if leaked := [secret for secret in hidden if secret.encode() in said]:
                    yield f"{leaked[0]} was written into {path.relative_to(case.folder)}"
                    break


def _now(name: str) -> object:
    path = Path(name)
    if not os.path.lexists(path):
        return None
    return watch.seen(path) if path.is_dir() and not path.is_symlink() else os.lstat(path).st_mtime_ns


def _ending(ask: Ask, came: Came) -> Iterator[str]:
    if came.code is None:
        yield f"{came.raised} came out"
    elif came.code not in ({0, 1, 2} if ask.finds else {0, 2}):
        yield f"exit code {came.code}"
    if "Traceback (most recent call last)" in came.out + came.err:
        yield "a traceback was printed"
    errors = [line for line in came.err.splitlines() if line.startswith("error:")]
    if came.code == 2 and len(errors) != 1:
        yield f"{len(errors)} error lines"
    if "memory does not suffice" in came.err:
        yield f"more than {ROOM >> 30} GiB of memory were asked for"


def _tail(came: Came) -> str:
    return ascii(came.err[-400:] or came.out[-200:])


def asked(ask: Ask) -> Came:
    """What came of a question, in this process, within its time and its room."""
    out, err = StringIO(), StringIO()
    stdin = sys.stdin
    sys.stdin = Terminal("y\n" * 1_000)
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), _bounded():
            warnings.simplefilter("ignore")  # a library's word about strange input is no fault
            code, raised = _called(ask.call or (lambda: main(list(ask.words))), err)
    finally:
        sys.stdin = stdin
    return Came(code, out.getvalue(), err.getvalue(), raised)


def _called(call: Callable[[], object], err: StringIO) -> tuple[int | None, str]:
    try:
        call()
    except SystemExit as end:
        code = end.code or 0
        return (code, "") if isinstance(code, int) else (None, f"SystemExit({code!r})")
    except MENDABLE as error:
        err.write(f"error: {error}".replace("\n", " "))
        return 2, ""
    except Hang:
        return None, f"nothing for {LIMIT:g} s (hang)"
    except BaseException as error:  # noqa: BLE001 - whatever it is, the case is told of
        return None, _place(error)
    return 0, ""


def _place(error: BaseException) -> str:
    """Class, message and the last place of ours."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if (
            any(f"/{layer}/" in name for layer in ("flows", "tasks", "storage", "editing"))
            and "/tests/" not in name
            and "site-packages" not in name
        ):
            place = f" at {'/'.join(Path(name).parts[-2:])}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {ascii(str(error))[:160]}{place}"


@contextmanager
def _bounded() -> Iterator[None]:
    """An alarm for what waits, a harder one for what does not even hear it, and an end to what takes all memory."""
    room = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, left = signal.signal(signal.SIGALRM, _hang), signal.setitimer(signal.ITIMER_REAL, LIMIT)
    faulthandler.dump_traceback_later(2 * LIMIT, exit=True, file=sys.__stderr__)
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, room[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, room)
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


@contextmanager
def watched(base: Path) -> Iterator[Watch]:
    """Good things made below `base`, and a watch over them in a process at home there."""
    with pytest.MonkeyPatch.context() as patch:
        good = make(base)
        offline.at_home(patch, base, SECRET)
        offline.without_prefect(patch)
        watch = Watch(good)
        try:
            yield watch
        finally:
            watch.listener.close()


def broken(watch: Watch, numbers: Iterable[int]) -> list[str]:
    """The laws that some cases broke, in words; then every byte of what nobody may touch is looked at."""
    found = []
    for number in numbers:
        made = case(number, watch.good, watch.listener.port)
        found += [f"{made}\n  {breach}" for breach in watch.judge(made).breaches]
        clear(made)
    watch.check_bytes()
    return found


def clear(case: Case) -> None:
    """Its folder goes."""
    shutil.rmtree(case.folder, ignore_errors=True)
