"""Folders in which documents are followed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from support import tiny_world

from docs.blocks import ROOT

FACTS = 20


def tiny(folder: Path) -> Path:
    """The folder of a reader after `make demo`, with a tiny model instead of the default one.

    It has specs/demo.toml, ./lake with its completed run, specs/paper, and the files that how-to pages assume as the
    reader's own: model/, gemma/, articles.jsonl and my-facts.jsonl.
    """
    folder.mkdir()
    model, articles, facts = folder / "model", folder / "articles.jsonl", folder / "specs" / "facts" / "starter.jsonl"
    facts.parent.mkdir(parents=True)
    tiny_world.save_model(model)
    tiny_world.save_model(folder / "gemma", model=tiny_world.gemma2())
    tiny_world.write_lines(articles, tiny_world.documents())
    tiny_world.write_lines(facts, tiny_world.records(FACTS))
    shutil.copy(facts, folder / "my-facts.jsonl")
    spec = tiny_world.SPEC.format(model=model, corpus=articles)
    spec = spec.replace('name = "tiny"', 'name = "demo"').replace('"facts.jsonl"', '"facts/starter.jsonl"')
    (folder / "specs" / "demo.toml").write_text(spec, encoding="utf-8")
    shutil.copytree(ROOT / "specs" / "paper", folder / "specs" / "paper")
    # README refers to the environment by its folder.
    (folder / ".venv").symlink_to(sys.prefix)
    tiny_world.run(folder / "specs" / "demo.toml", folder / "lake")
    return folder


def demo(folder: Path) -> tuple[Path, str]:
    """A folder with the repository's specs, and a `make` function that runs the Makefile there without set-up."""
    folder.mkdir()
    (folder / "specs").symlink_to(ROOT / "specs")
    (folder / ".venv").symlink_to(sys.prefix)
    binaries = Path(sys.executable).parent
    return folder, f'make() {{ command make -f "{ROOT}/Makefile" -o fetch BIN="{binaries}" "$@"; }}'
