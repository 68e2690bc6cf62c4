"""The folders that documents are followed in."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from support import tiny_world

from docs.blocks import ROOT

FACTS = 20


def tiny(folder: Path) -> Path:
    """What a reader has after `make demo`, with a tiny model in place of the default one.

    specs/demo.toml and ./lake with its finished run, specs/paper; beside them the files that how-to pages speak of as
    the reader's own: model/, gemma/, articles.jsonl and my-facts.jsonl.
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
    # README calls the environment by its folder.
    (folder / ".venv").symlink_to(sys.prefix)
    tiny_world.run(folder / "specs" / "demo.toml", folder / "lake")
    return folder


def demo(folder: Path) -> tuple[Path, str]:
    """A folder with the repository's specs, and a `make` that does there what the Makefile says, set-up left out."""
    folder.mkdir()
    (folder / "specs").symlink_to(ROOT / "specs")
    (folder / ".venv").symlink_to(sys.prefix)
    binaries = Path(sys.executable).parent
    return folder, f'make() {{ command make -f "{ROOT}/Makefile" -o fetch BIN="{binaries}" "$@"; }}'
