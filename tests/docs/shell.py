"""A shell that runs a document's commands one after the other."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

END = "---- end of a command, code"


class Shell:
    """A bash in a folder. `cd` and `export` affect later commands. Use it in a `with` block."""

    def __init__(self, folder: Path, environment: Mapping[str, str], before: str = "") -> None:
        """Start bash and run `before`, ignoring its output."""
        self._errors = (folder.parent / f"{folder.name}-errors").open("a+", encoding="utf-8")
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder, env=dict(environment), text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        self.run(before)

    def run(self, command: str) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) of a command."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        position = self._errors.seek(0, 2)
        self._bash.stdin.write(f"{{ :\n{command}\n}} </dev/null\nprintf '\\n%s %s\\n' '{END}' $?\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(END):
                break
            lines.append(line)
        else:
            raise AssertionError(f"the shell ended at: {command}")
        self._errors.seek(position)
        # The line break before the marker is not part of the output.
        return int(line.split()[-1]), "".join(lines)[:-1], self._errors.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bash.kill()
        self._bash.communicate()
        self._errors.close()
