"""Code that no command may run: it leaves a trace in a file, in the environment and at the listener."""

from __future__ import annotations

from typing import Any

from support.hostile_cases.watch import MARK

CODE = """
import os, socket
os.environ[{mark!r}] = "1"
open({file!r}, "w").write("ran")
try:
    socket.create_connection(("127.0.0.1", {port}), 1).close()
except OSError:
    pass
"""


def code(file: str, port: int) -> str:
    return CODE.format(mark=MARK, file=file, port=port)


class Payload:
    """An object whose pickle runs the code when it is loaded."""

    def __init__(self, file: str, port: int) -> None:
        self.source = code(file, port)

    def __reduce__(self) -> Any:
        return exec, (self.source,)
