"""docs/architecture.md names the stages, files and registries that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tasks.edits
import tasks.evaluation
import tasks.moments
import tasks.report.stages
from docs.generate import DOCS
from editing.editors.methods import METHODS
from editing.models.family import families
from tasks.documents import documents_stage
from tasks.requests import requests_stage
from tasks.stage import Stage

ROOT = DOCS.parent
TEXT = (DOCS / "architecture.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:editing|flows|storage|tasks|tests|specs|benchmarks|docs)/[\w./-]*)`")


def test_every_stage_is_in_the_table_and_nothing_else() -> None:
    stages = [documents_stage("x.txt"), requests_stage([], "")[0]]
    for module in (tasks.edits, tasks.evaluation, tasks.moments, tasks.report.stages):
        stages += [value for value in vars(module).values() if isinstance(value, Stage)]
    listed = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted([(stage.name, stage.kind) for stage in stages] + [("model", "model")])


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    missing = [name for name in NAMED.findall(path.read_text(encoding="utf-8")) if not (ROOT / name).exists()]
    assert not missing


def test_a_file_that_does_not_exist_would_be_noticed() -> None:
    assert NAMED.findall("see `tasks/nowhere.py` and `lake/runs`") == ["tasks/nowhere.py"]
    assert not (ROOT / "tasks/nowhere.py").exists()
    assert len(NAMED.findall(TEXT)) > 10


def test_the_limits_speak_of_what_is_registered() -> None:
    """Whoever registers a second method or another family has a line to mend in Known limits."""
    limits = TEXT.partition("## Known limits")[2]
    assert set(METHODS) == {"alphaedit"}
    assert "AlphaEdit is the only method" in limits
    spelled = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "gpt2": "GPT-2", "gptj": "GPT-J"}
    for family in families():
        assert all(spelled[name] in limits for name in family.model_types)
