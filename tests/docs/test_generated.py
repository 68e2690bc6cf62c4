"""The generated parts of docs/ are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import DOCS, PARTS, part_names, refreshed

pytestmark = pytest.mark.slow

DOCUMENTS = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_current(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == refreshed(text), f"{path} is out of date: run python tests/docs/generate.py"


def test_every_part_is_in_one_document() -> None:
    found = [name for path in DOCUMENTS for name in part_names(path.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_an_outdated_part_is_rewritten(name: str) -> None:
    """The control: another content is replaced, and the text around it is kept."""
    stale = f"before\n<!-- generated: {name} -->\n\nold\n\n<!-- end: {name} -->\nafter\n"
    fresh = refreshed(stale)
    assert fresh != stale
    assert fresh == refreshed(fresh)
    assert fresh.startswith("before\n")
    assert fresh.endswith("\nafter\n")


def test_an_unknown_part_is_an_error() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        refreshed("<!-- generated: nonsense -->\n<!-- end: nonsense -->")


def test_no_spec_key_and_no_column_is_missing() -> None:
    """The generator reads schemas: a key or column that it does not support would be missing from the tables."""
    from editflow.flows.spec.run_spec import RunSpec
    from editflow.storage.artifacts.kinds import kinds

    keys, columns = PARTS["spec-keys"](), PARTS["kinds"]()
    for name, field in RunSpec.model_fields.items():
        section = field.annotation
        inner = getattr(section, "model_fields", None) or getattr(section, "__dataclass_fields__", {})
        for key in [f"{name}.{key}" for key in inner] or [name]:
            assert f"| `{key}` |" in keys
    for kind in kinds():
        line = next(line for line in columns.splitlines() if line.startswith(f"| `{kind.name}` |"))
        assert all(f"`{column}` " in line for column in kind.schema.names)
