"""A command reads and validates its spec file once, and reading it does not import torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tiny_queue import served
from support.tiny_world import World, editflow

from editflow.flows import apply, compare, edit_model, evaluate, prepare
from editflow.flows.console.errors import UsageError
from editflow.flows.planning import plan
from editflow.flows.spec import loading

ROOT = Path(__file__).parents[3]
VARIANTS = "\n[[variants]]\nname = 'first'\n\n[[variants]]\nname = 'second'\nedit.batch_size = 3\n"
LOAD = """
import sys
from pathlib import Path
{}
from editflow.flows.spec.loading import load_spec
load_spec(Path("specs/demo.toml"))
print(sorted({{"torch", "transformers", "prefect"}} & {{*sys.modules}}))
"""


class Stopped(UsageError):
    """Raised where a command would begin to compute."""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The spec files that were read, in order; commands stop before they compute."""
    found: list[Path] = []
    read = loading.read_small

    def counted(path: Path, error: type[Exception]) -> str:
        found.append(path)
        return read(path, error)

    def stop(*_arguments: Any, **_options: Any) -> Any:
        raise Stopped("stopped")

    monkeypatch.setattr(loading, "read_small", counted)
    for module in (edit_model, apply, prepare, evaluate):
        monkeypatch.setattr(module, "run_tracked", stop)
    monkeypatch.setattr(compare, "_grouped", stop)
    monkeypatch.setattr(plan, "_dry_run", stop)
    return found


@pytest.fixture
def specs(world: World, tmp_path: Path) -> dict[str, Path]:
    """A spec of a run, one of a comparison and one of a queue."""
    variants = tmp_path / "variants.toml"
    variants.write_text(world.spec.read_text().replace("facts.jsonl", str(world.facts)) + VARIANTS)
    return {"run": world.spec, "compare": variants, "queue": served(world, tmp_path)}


@pytest.mark.parametrize(
    ("command", "spec"),
    [("plan", "run"), ("plan", "compare"), ("run", "run"), ("prepare", "run"), ("compare", "compare"),
     ("apply", "queue"), ("evaluate", "queue")],
)  # fmt: skip
def test_a_command_reads_its_spec_once(
    command: str, spec: str, specs: dict[str, Path], server: str, reads: list[Path], tmp_path: Path
) -> None:
    del server
    answer = editflow(command, specs[spec], "--lake", tmp_path / "lake")
    assert "stopped" in answer.err, answer
    assert reads == [specs[spec]]


FLOWS: dict[str, Callable[[str, str], Any]] = {
    "run": lambda spec, lake: edit_model.edit_model(spec, [], lake),
    "compare": lambda spec, lake: compare.compare_specs([spec], [], None, lake),
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_that_gets_only_the_path_reads_the_file(
    name: str, specs: dict[str, Path], server: str, reads: list[Path], tmp_path: Path
) -> None:
    """The control: the count sees what a flow reads."""
    del server
    with pytest.raises(Stopped):
        FLOWS[name](str(specs[name]), str(tmp_path / "lake"))
    assert reads == [specs[name]]


@pytest.mark.parametrize(("before", "imported"), [("", "[]"), ("import torch", "['torch']")])
def test_reading_a_spec_imports_no_torch(before: str, imported: str) -> None:
    """The second case is the control: an import would be seen."""
    code = LOAD.format(before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == imported
