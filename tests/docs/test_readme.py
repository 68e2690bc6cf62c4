"""README shows what the demo prints; whoever changes the demo's spec has to run it and paste again."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_output_is_that_of_this_spec() -> None:
    spec = tomllib.loads((ROOT / "specs" / "demo.toml").read_text(encoding="utf-8"))
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
    shown = re.findall(r"<!-- output of specs/demo.toml (\w+) -->", README)
    assert shown == [digest], (
        "specs/demo.toml has changed: run `make demo`, paste its last lines and put the new digest"
    )


def test_the_commands_exist() -> None:
    from flows.cli import app

    named = set(re.findall(r"editflow ([a-z]+)", README))
    assert named
    assert named <= {name for name in app if not name.startswith("-")}


def test_the_files_named_exist() -> None:
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).exists()] == []
