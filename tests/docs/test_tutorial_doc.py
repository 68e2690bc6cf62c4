"""docs/tutorial.md explains exactly the lines that a run prints; the demo is asked about facts that it edits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import tiny_world

from docs.blocks import ROOT
from editflow.flows.spec.loading import load_spec
from editflow.tasks.sources.edit_requests import choose_requests, load_requests


def kinds_of(labels: list[str]) -> set[str]:
    """Labels without their numbers: `spectrum of layer 3` and `spectrum of layer 4` are one kind."""
    return {re.sub(r"\d+", "N", label) for label in labels}


def test_every_line_of_a_run_is_explained(tmp_path: Path) -> None:
    world = tiny_world.make(tmp_path / "world")
    run = tiny_world.record_directly(world.spec, tmp_path / "lake", "evaluation.checkpoint_every=2")
    printed = [use.stage for use in run.uses]
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    table = text.partition("| line | what happens |")[2].partition("\n\n")[0]
    explained = [
        label for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for label in re.findall("`(.+?)`", cell)
    ]
    assert kinds_of(explained) == kinds_of(printed)
    assert kinds_of(explained[1:]) != kinds_of(printed)  # the control: one line less


@pytest.mark.parametrize("file", ["docs/tutorial.md", "README.md", "Makefile"])
def test_the_demo_is_asked_about_its_facts(file: str) -> None:
    spec = load_spec(ROOT / "specs" / "demo.toml")
    wanted = spec.requests
    facts = choose_requests(load_requests(wanted.source), wanted.count, wanted.seed, wanted.source)
    text = (ROOT / file).read_text(encoding="utf-8")
    asked = re.findall(r'editflow ask (?:demo|last) "(.+?)"', text)
    assert asked
    assert set(asked) <= {fact.filled for fact in facts}
    assert "The capital city of Norway is" not in {fact.filled for fact in facts}  # the control
