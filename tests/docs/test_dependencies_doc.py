"""docs/dependencies.md lists exactly the dependencies of pyproject.toml, each with its range and a reason."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement

from docs.generate import DOCS

TEXT = (DOCS / "dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared(requirements: list[str]) -> dict[str, set[str]]:
    """{package: version clauses} of requirements in pyproject.toml."""
    parsed = [Requirement(text) for text in requirements]
    return {requirement.name: set(str(requirement.specifier).split(",")) for requirement in parsed}


def documented(text: str, section: str) -> dict[str, set[str]]:
    """{package: version clauses} of a section's table; asserts that every cell is filled."""
    body = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \| (.+) \| (.+) \|$", body, re.MULTILINE)
    assert len(rows) == len([line for line in body.splitlines() if line.startswith("| `")])
    return {name: set(clauses.split(",")) for name, clauses, _reason, _instead in rows}


def test_every_dependency_is_listed_with_its_range() -> None:
    assert documented(TEXT, "Runtime") == declared(PROJECT["dependencies"])
    assert documented(TEXT, "Development") == declared(PROJECT["optional-dependencies"]["dev"])


def test_a_missing_row_and_another_range_are_detected() -> None:
    wanted = declared(PROJECT["dependencies"])
    assert documented(TEXT.replace("| `numpy` |", "| `numpi` |"), "Runtime") != wanted
    assert documented(TEXT.replace("`>=2.1,<3`", "`>=2.2,<3`"), "Runtime") != wanted


def test_the_caps_for_prefect_are_explained() -> None:
    traps = TEXT.partition("## Version traps")[2]
    for name in ("fastapi", "sqlalchemy"):
        cap = next(clause for clause in declared(PROJECT["dependencies"])[name] if clause.startswith("<"))
        assert f"`{name}{cap}`" in traps
