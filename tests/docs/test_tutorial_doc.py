"""docs/tutorial.md explains every line that a run prints, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import tiny_world

from docs.blocks import ROOT


def kinds_of(labels: list[str]) -> set[str]:
    """Labels without their numbers: `spectrum of layer 3` and `spectrum of layer 4` are one kind."""
    return {re.sub(r"\d+", "N", label) for label in labels}


def test_every_line_of_a_run_is_explained(tmp_path: Path) -> None:
    world = tiny_world.make(tmp_path / "world")
    said = [use.stage for use in tiny_world.record_directly(world.spec, tmp_path / "lake").uses]
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    table = text.partition("| line | what happens |")[2].partition("\n\n")[0]
    explained = [
        label for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for label in re.findall("`(.+?)`", cell)
    ]
    assert kinds_of(explained) == kinds_of(said)
    assert kinds_of(explained[1:]) != kinds_of(said)  # the control: one line less
