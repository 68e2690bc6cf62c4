"""A reader who follows one document: saves its files, runs its commands, queries and notebook cells."""

from __future__ import annotations

import ast
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from support import tiny_world

from docs.blocks import Block, Command, commands
from docs.outputs import Names, difference, translated
from docs.shell import Shell


class Reader:
    """Follows documents in one folder with the lake ./lake. Raises AssertionError with the line of any difference.

    With `compares` false, commands must only succeed; unknown ids of artifacts and runs are replaced by `demo`.
    Commands in `skipped` are not run. With `quick`, `editflow` commands that do not need the shell run in this process,
    which saves most of the time of a short command.
    """

    def __init__(
        self, folder: Path, shell: Shell, *, compares: bool = True, skipped: Sequence[str] = (), quick: bool = False
    ) -> None:
        self.folder, self.shell, self.compares, self.skipped, self.quick = folder, shell, compares, skipped, quick
        self._names: Names = {}
        self._variables: dict[str, object] = {}

    def follow(self, blocks: Sequence[Block]) -> None:
        """Follow the blocks in order."""
        for block in blocks:
            if block.file is not None:
                place = Path(self.shell.run("pwd")[1].strip()) / block.file
                place.write_text(block.text, encoding="utf-8")
            elif block.language in {"console", "bash"}:
                for command in commands(block):
                    if command.plain not in self.skipped:
                        self._type(command)
            elif block.language == "sql":
                self._query(block)
            elif block.language == "python":
                self._compare(block.output, displayed(block.text, self._variables))

    def _type(self, command: Command) -> None:
        text = translated(command.text, self._names, "" if self.compares else "demo")
        code, out, err = self._run(text)
        if command.shown.startswith("error:"):
            assert code == 2, f"line {command.line}: {text} ended with code {code}, not with an error"
            self._same(command.line, command.shown, err.strip().splitlines()[-1])
            return
        assert code == 0, f"line {command.line}: {text} ended with code {code}: {err[-2000:]}"
        if command.shown:
            self._same(command.line, command.shown, out)

    def _run(self, text: str) -> tuple[int, str, str]:
        arguments = words(text) if self.quick else []
        if arguments[:1] != ["editflow"]:
            return self.shell.run(text)
        folder = self.shell.run("pwd")[1].strip()
        with chdir(folder), patch.dict(os.environ, environment(os.environ), clear=True):
            answer = tiny_world.editflow(*arguments[1:])
        return answer.code, answer.out, answer.err

    def _query(self, block: Block) -> None:
        lake = self.folder / "lake"
        answer = tiny_world.editflow("query", block.text, "--lake", lake)
        assert answer.code == 0, f"line {block.line}: {answer.err}"
        assert answer.out.count("\n") > 1, f"line {block.line}: the query returns no rows here"
        self._compare(block.output, answer.out)

    def _compare(self, shown: Block | None, real: str) -> None:
        if shown is not None:
            self._same(shown.line, shown.text, real)

    def _same(self, line: int, shown: str, real: str) -> None:
        found = difference(shown, real, self._names) if self.compares else ""
        assert not found, f"line {line}: {found}; the whole output is\n{real}"


def words(text: str) -> list[str]:
    """The arguments of a command; empty if it may need a shell or a browser."""
    line = text.replace("\\\n", "")
    found = shlex.shlex(line, posix=True, punctuation_chars=True)
    found.whitespace_split = True
    parts = list(found)
    signs = any(set(part) <= set(found.punctuation_chars) or part.startswith("~") for part in parts)
    return [] if signs or "--open" in parts or set(line) & set("$`\n") else parts


def displayed(code: str, variables: dict[str, object]) -> str:
    """The output of a notebook cell: what it prints, and the value of an expression at its end."""
    tree = ast.parse(code)
    end = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(StringIO()) as out:
        exec(compile(tree, "cell", "exec"), variables)  # noqa: S102 - cells of our documents
        if isinstance(end, ast.Expr):
            value = eval(compile(ast.Expression(end.value), "cell", "eval"), variables)  # noqa: S307
            if value is not None:
                print(repr(value))
    return out.getvalue()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a reader's shell: the `editflow` of this interpreter, the lake ./lake, plain output.

    Opening a browser does nothing.
    """
    kept = {name: value for name, value in given.items() if name not in {"EDITFLOW_LAKE", "FORCE_COLOR"}}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}", "BROWSER": "true"}
