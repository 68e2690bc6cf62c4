"""The rules that every case must obey, and a watch that checks them after each case."""

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
"""Number of cases in `make test-all`, per test file, and per test."""
LIMIT = float(os.environ.get("EDITFLOW_CASE_SECONDS", "300"))
"""Seconds after which a case counts as hanging. Cases need less than a second, but the machine may be busy."""
MAX_EXTRA_BYTES = 8 << 30
"""Address space that a case may allocate, to protect the machine."""
SECRETS = (SECRET, ADDRESS)
EXPECTED_ERRORS = (EditingError, StorageError, TaskError, UsageError, OSError)
"""Errors that the command line prints as one line; functions called directly raise them."""


class Hang(BaseException):
    """Raised at the time limit; a BaseException, so that no `except Exception` catches it."""


@dataclass(frozen=True)
class Result:
    """The result of a command. `code` is None if it ended in an unexpected exception, in `raised`."""

    code: int | None
    out: str
    err: str
    raised: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of a case, and descriptions of the broken rules."""

    result: Result
    breaches: list[str]


class Terminal(StringIO):
    """A terminal whose user answers every question with yes."""

    def isatty(self) -> bool:
        return True


class Watch:
    """Records the state before each case, and checks what the case has touched."""

    def __init__(self, good: Good) -> None:
        watch.adopt()
        self.good, self.listener = good, watch.Listener()
        self.cases = good.base / "cases"
        self.state = self._observe()
        self.digest = watch.digest(good.outside)
        self.living = watch.children()

    def _observe(self) -> watch.Seen:
        return watch.seen(self.good.base, (str(self.cases), str(self.good.base / "cache")))

    def judge(self, case: Case) -> Verdict:
        """Run the case's command and check every rule."""
        kept = {str(path): watch.seen(path) if path.is_dir() and not path.is_symlink() else os.lstat(path).st_mtime_ns
                for path in case.ask.keeps if os.path.lexists(path)}  # fmt: skip
        inside, connections_before = watch.seen(case.folder), self.listener.connections
        result = self._run(case)
        found = list(_check_exit(case.ask, result))
        found += [f"{name} was changed" for name, was in kept.items() if _now(name) != was]
        found += self._check_outside()
        found += self._check_foreign_code(case, connections_before)
        found += self._check_secrets(case, result, inside)
        return Verdict(result, [f"{breach}\n    {_tail(result)}" for breach in found])

    def _run(self, case: Case) -> Result:
        before = Path.cwd()
        os.chdir(case.folder)
        try:
            return run_command(case.ask)
        finally:
            os.chdir(before)

    def _check_outside(self) -> Iterator[str]:
        now = self._observe()
        if other := watch.moved(self.state, now):
            yield f"outside the case {other[0]} was written, changed or removed ({len(other)} in all)"
        self.state = now

    def check_bytes(self) -> None:
        """Assert that no byte of the folder outside has changed."""
        assert watch.digest(self.good.outside) == self.digest

    def _check_foreign_code(self, case: Case, connections_before: int) -> Iterator[str]:
        if (case.folder / "ran").exists():
            (case.folder / "ran").unlink()
            yield "foreign code has run: its file is there"
        if os.environ.pop(watch.MARK, None):
            yield "foreign code has run: its variable is set"
        if self.listener.connections > connections_before and not case.ask.connects:
            yield "an address that nobody asked for was called"
        if new := watch.children() - self.living:
            yield f"a process is left: {sorted(new)}"
            self.living |= new

    def _check_secrets(self, case: Case, result: Result, inside: watch.Seen) -> Iterator[str]:
        secrets = (*SECRETS, *case.ask.secrets)
        if leaked := [secret for secret in secrets if secret in result.out + result.err + result.raised]:
            yield f"{leaked[0]} was printed"
        for name, about in watch.seen(case.folder).items():
            path = Path(name)
            if inside.get(name) == about or path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 26:
                continue
            own = path.is_relative_to(case.folder / "lake")  # whose records may already contain the secret
            hidden = [secret for secret in secrets if not (own and secret == ADDRESS and case.kind == "lake")]
            for content in watch.contents(path):
                if leaked := [secret for secret in hidden if secret.encode() in content]:
                    yield f"{leaked[0]} was written into {path.relative_to(case.folder)}"
                    break


def _now(name: str) -> object:
    path = Path(name)
    if not os.path.lexists(path):
        return None
    return watch.seen(path) if path.is_dir() and not path.is_symlink() else os.lstat(path).st_mtime_ns


def _check_exit(ask: Ask, result: Result) -> Iterator[str]:
    if result.code is None:
        yield f"{result.raised} was raised"
    elif result.code not in ({0, 1, 2} if ask.finds else {0, 2}):
        yield f"exit code {result.code}"
    if "Traceback (most recent call last)" in result.out + result.err:
        yield "a traceback was printed"
    errors = [line for line in result.err.splitlines() if line.startswith("error:")]
    if result.code == 2 and len(errors) != 1:
        yield f"{len(errors)} error lines"
    if "memory does not suffice" in result.err:
        yield f"more than {MAX_EXTRA_BYTES >> 30} GiB of memory were asked for"


def _tail(result: Result) -> str:
    return ascii(result.err[-400:] or result.out[-200:])


def run_command(ask: Ask) -> Result:
    """Run a command in this process, within the limits of time and memory."""
    out, err = StringIO(), StringIO()
    stdin = sys.stdin
    sys.stdin = Terminal("y\n" * 1_000)
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), _limits():
            warnings.simplefilter("ignore")  # a library's warning about strange input is fine
            code, raised = _call(ask.call or (lambda: main(list(ask.words))), err)
    finally:
        sys.stdin = stdin
    return Result(code, out.getvalue(), err.getvalue(), raised)


def _call(call: Callable[[], object], err: StringIO) -> tuple[int | None, str]:
    try:
        call()
    except SystemExit as end:
        code = end.code or 0
        return (code, "") if isinstance(code, int) else (None, f"SystemExit({code!r})")
    except EXPECTED_ERRORS as error:
        err.write(f"error: {error}".replace("\n", " "))
        return 2, ""
    except Hang:
        return None, f"nothing for {LIMIT:g} s (hang)"
    except BaseException as error:  # noqa: BLE001 - reported as a broken rule
        return None, _describe(error)
    return 0, ""


def _describe(error: BaseException) -> str:
    """The error's class and message, and the last line of EditFlow in its traceback."""
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
def _limits() -> Iterator[None]:
    """Limit time by an alarm, by ending the process if the alarm is ignored, and limit memory."""
    room = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, left = signal.signal(signal.SIGALRM, _hang), signal.setitimer(signal.ITIMER_REAL, LIMIT)
    faulthandler.dump_traceback_later(2 * LIMIT, exit=True, file=sys.__stderr__)
    resource.setrlimit(resource.RLIMIT_AS, (now + MAX_EXTRA_BYTES, room[1]))
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
    """Create the valid inputs below `base`, and watch them; `base` also has the home of this process."""
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
    """Run cases and describe the rules that they broke; also check every byte of the folder outside."""
    found = []
    for number in numbers:
        made = case(number, watch.good, watch.listener.port)
        found += [f"{made}\n  {breach}" for breach in watch.judge(made).breaches]
        clear(made)
    watch.check_bytes()
    return found


def clear(case: Case) -> None:
    """Delete the case's folder."""
    shutil.rmtree(case.folder, ignore_errors=True)
