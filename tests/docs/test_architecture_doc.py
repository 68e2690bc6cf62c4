"""docs/architecture.md names all stages, and only files and registries that exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import editflow.tasks
from docs.generate import DOCS
from editflow.editing.models.family import FAMILIES as DECLARED
from editflow.tasks.stages.registry import IMPORTED
from editflow.tasks.stages.stage import Stage

ROOT = DOCS.parent
TEXT = (DOCS / "architecture.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:editing|flows|storage|tasks|tests|specs|benchmarks|docs)/[\w./-]*)`")


def test_the_table_has_exactly_the_stages() -> None:
    """Stages are found by import; one that is missing from the registry could not be recomputed and fails as well."""
    stages = {("documents", "documents"), ("model", "model"), *((kind.replace("_", "-"), kind) for kind in IMPORTED)}
    for module in pkgutil.walk_packages(editflow.tasks.__path__, "editflow.tasks."):
        values = vars(importlib.import_module(module.name)).values()
        stages |= {(value.name, value.kind) for value in values if isinstance(value, Stage)}
    listed = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted(stages)


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_named_files_exist(path: Path) -> None:
    missing = [name for name in NAMED.findall(path.read_text(encoding="utf-8")) if not (ROOT / name).exists()]
    assert not missing


def test_a_missing_file_is_detected() -> None:
    assert NAMED.findall("see `tasks/nowhere.py` and `lake/runs`") == ["tasks/nowhere.py"]
    assert not (ROOT / "tasks/nowhere.py").exists()
    assert len(NAMED.findall(TEXT)) > 10


def test_the_known_limits_name_all_registered_families() -> None:
    """A new family needs an entry in Known limits; methods have their own page."""
    limits = TEXT.partition("## Known limits")[2]
    assert "methods.md" in limits
    spelled = {
        "llama": "Llama",
        "smollm3": "SmolLM3",
        "mistral": "Mistral",
        "qwen2": "Qwen2",
        "qwen3": "Qwen3",
        "gemma": "Gemma 1",
        "gemma2": "Gemma 1, 2",
        "gemma3_text": "Gemma 1, 2 and 3 (text)",
        "phi": "Phi",
        "phi3": "Phi-3",
        "gpt2": "GPT-2",
        "gptj": "GPT-J",
        "gpt_neox": "GPT-NeoX",
    }
    for family in DECLARED:
        assert all(spelled[name] in limits for name in family.model_types)


def folders_in(readme: str) -> set[str]:
    """The folders of the tree in the README, by their indentation."""
    found, path = set(), list[str]()
    for spaces, name in re.findall(r"^( {4,})([\w.-]+)/ +\S", readme, re.MULTILINE):
        depth = (len(spaces) - 4) // 2
        path = [*path[:depth], name]
        found.add("/".join(path))
    return found


def test_the_readme_describes_every_folder() -> None:
    listed = folders_in((ROOT / "README.md").read_text(encoding="utf-8"))
    tops = ("flows", "tasks", "editing", "storage", "specs", "benchmarks", "docs")
    existing = {path.relative_to(ROOT).parent.as_posix() for top in tops for path in (ROOT / top).rglob("*.*")}
    existing = {folder for folder in existing if not re.search(r"__pycache__|_cache|\.", folder)}
    assert existing - listed == set()
    assert {folder for folder in listed if not (ROOT / folder).is_dir()} == set()


def test_a_folder_without_a_description_is_detected() -> None:
    """The control."""
    tree = "    flows/         Prefect flows\n      cli/           the command line\n      bare/\n    tasks/   stages\n"
    assert folders_in(tree) == {"flows", "flows/cli", "tasks"}
