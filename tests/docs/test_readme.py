"""README and tutorial show the demo's output; after changing the demo's spec, run it and paste the new output."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib

import pytest

from docs.blocks import ROOT


@pytest.mark.parametrize("document", ["README.md", "docs/tutorial.md"])
def test_the_shown_output_belongs_to_the_current_spec(document: str) -> None:
    spec = tomllib.loads((ROOT / "specs" / "demo.toml").read_text(encoding="utf-8"))
    facts = (ROOT / "specs" / spec["requests"]["source"]).read_bytes()
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode() + facts).hexdigest()[:12]
    text = (ROOT / document).read_text(encoding="utf-8")
    assert re.findall(r"<!-- output of specs/demo.toml (\w+) -->", text) == [digest], (
        f"the demo's spec or facts have changed: run it, paste its last lines into {document} and put the new digest"
    )
