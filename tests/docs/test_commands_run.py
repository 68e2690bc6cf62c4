"""Runs all commands that README.md and docs/ show, and compares their output with the documents."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from docs.allowed import NOT_RUN
from docs.blocks import DOCUMENTS, LANGUAGES, ROOT, Block, blocks, every_command, name, world
from docs.reader import Reader
from docs.reader import environment as reader_environment
from docs.shell import Shell
from docs.worlds import demo, tiny
from editflow.flows.cli.registry import app
from editflow.flows.spec.spec_validation import check_spec
from editflow.tasks.models.model_identity import open_model

FIRST = "docs/lake.md"
"""The document that is followed in every `make test`; the others in `make test-rest`."""
BY_NAME = {name(path): path for path in DOCUMENTS}
LEAST = {"name": "shown", "requests": {"source": "facts.jsonl"}}
EDITFLOW = re.compile(r"(?<![\w/.-])editflow ((?!COMMAND)[a-z]+(?:-[a-z]+)*)")


def in_world(*worlds: str) -> pytest.MarkDecorator:
    """One test per document of these worlds with something to run."""
    chosen = [n for n, path in BY_NAME.items() if world(path) in worlds and blocks(path.read_text(encoding="utf-8"))]
    marks = {n: [] if n == FIRST else [pytest.mark.exhaustive] for n in chosen}
    return pytest.mark.parametrize("document", [pytest.param(n, marks=marks[n]) for n in chosen])


@pytest.fixture(scope="session")
def small(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world, read-only: every document gets a copy."""
    del server
    return tiny(tmp_path_factory.mktemp("documents") / "editflow")


@pytest.fixture(autouse=True)
def new_process() -> None:
    """Forget loaded models, as in a new process."""
    open_model.cache_clear()


def read(document: str) -> list[Block]:
    """The blocks of a document."""
    return blocks(BY_NAME[document].read_text(encoding="utf-8"))


@in_world("tiny", "demo")
def test_a_document_can_be_followed(
    document: str, small: Path, environment_of_readers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "editflow", symlinks=True))
    monkeypatch.chdir(folder)
    with Shell(folder, environment_of_readers) as shell:
        compares = world(BY_NAME[document]) == "tiny"
        Reader(folder, shell, compares=compares, skipped=[*NOT_RUN], quick=True).follow(read(document))


@pytest.mark.exhaustive
@pytest.mark.real_model
@in_world("real-model")
def test_a_document_can_be_followed_with_the_default_model(
    document: str, environment_of_readers: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / ".venv").symlink_to(Path(environment_of_readers["PATH"].partition(":")[0]).parent)
    with Shell(folder, environment_of_readers) as shell:
        Reader(folder, shell, skipped=[*NOT_RUN]).follow(read(document))


@pytest.mark.demo
@pytest.mark.timeout(3600)
@in_world("demo")
def test_a_document_can_be_followed_with_the_demo(
    document: str, environment_of_readers: dict[str, str], tmp_path: Path
) -> None:
    folder, make = demo(tmp_path / "editflow")
    with Shell(folder, environment_of_readers, make) as shell:
        skipped = [command for command in NOT_RUN if command != "make demo"]
        Reader(folder, shell, skipped=skipped).follow(read(document))


@pytest.fixture(scope="session")
def environment_of_readers(environment: dict[str, str]) -> dict[str, str]:
    """The environment with this session's Prefect server and this interpreter's `editflow`."""
    return reader_environment(environment)


def test_every_allowed_exception_is_in_a_document() -> None:
    shown = {command.plain for _, command in every_command()}
    assert [command for command in NOT_RUN if command not in shown] == []
    assert all(NOT_RUN.values())


@pytest.mark.parametrize("document", BY_NAME)
def test_every_block_has_a_language(document: str) -> None:
    """No command is in a block without a language or in an indented block."""
    assert {block.language for block in read(document)} <= LANGUAGES
    text = BY_NAME[document].read_text(encoding="utf-8")
    assert not re.findall(r"^(?: {4}|\t)(?:\$ |editflow ).*", text, re.MULTILINE)


@pytest.mark.parametrize("document", BY_NAME)
def test_every_shown_spec_is_valid(document: str) -> None:
    for block in read(document):
        if block.language == "toml":
            shown = tomllib.loads(block.text)
            check_spec(LEAST | shown | {"requests": LEAST["requests"] | shown.get("requests", {})}, document)


@pytest.mark.parametrize("document", BY_NAME)
def test_every_named_command_exists(document: str) -> None:
    known = {command for command in app if not command.startswith("-")}
    assert unknown_commands(BY_NAME[document].read_text(encoding="utf-8"), known) == set()


def unknown_commands(text: str, known: set[str]) -> set[str]:
    """Names X in `editflow X`, in inline code or blocks, that are not commands."""
    allowed = {found[1] for command in NOT_RUN if (found := EDITFLOW.match(command))}
    code = re.findall(r"`([^`\n]+)`", text) + [block.text for block in blocks(text)]
    return {found for part in code for found in EDITFLOW.findall(part)} - known - allowed


def test_links_are_valid() -> None:
    """For links between documents, file and heading exist."""
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(((?!http)[^)]+)\)", path.read_text(encoding="utf-8")):
            file, _, heading = target.partition("#")
            place = (path.parent / file).resolve() if file else path
            assert place.exists(), f"{name(path)}: {target}"
            assert place.is_relative_to(ROOT)
            assert not heading or heading in anchors(place), f"{name(path)}: {target}"


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub generates for a document's headings."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
