"""Runs commands on a real terminal and in a real pipe, and detects control characters in their output."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEVERAL = """
import json, sys
from editflow.flows.cli.main import main

for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code in (None, 0, 1), (arguments, end.code)
"""
"""Runs several commands in one process, because starting a process takes most of the time."""

COMMANDING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u034f\u3164]")
"""Characters that control the terminal, reorder or hide text; line ends are allowed."""

STYLE = re.compile("\x1b\\[[0-9;]*m")


def several(commands: Sequence[Sequence[object]]) -> list[str]:
    """The command line of a Python that runs several commands of editflow."""
    return [sys.executable, "-c", SEVERAL, json.dumps([[str(word) for word in words] for words in commands])]


def script(text: str) -> list[str]:
    """The command line of a Python that runs a few lines."""
    return [sys.executable, "-c", text]


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `more` and without variables that control colours."""
    controls = (
        "PYTHONUNBUFFERED",
        "NO_COLOR",
        "FORCE_COLOR",
        "TTY_COMPATIBLE",
        "TTY_INTERACTIVE",
        "COLORTERM",
        "TERM",
        "COLUMNS",
    )
    plain = {name: value for name, value in os.environ.items() if name not in controls}
    return {**plain, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **more}


def on_terminal(command: Sequence[str], columns: int = 120, **more: str) -> str:
    """The output of a command on a terminal that is both its standard output and its standard error."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    env = surroundings({"COLUMNS": str(columns), "LINES": "40", **more})
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    written = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not some:
            break
        written += some
    os.close(ours)
    assert process.wait(timeout=120) == 0, written.decode()
    return written.decode().replace("\r\n", "\n")


def in_pipe(command: Sequence[str], **more: str) -> tuple[str, str]:
    """(standard output, standard error) of a command whose output goes to pipes."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=surroundings(more))
    return done.stdout, done.stderr
