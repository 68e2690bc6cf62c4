"""docs/commands.md lists every exit code and every environment variable of the code."""

from __future__ import annotations

import re

from docs.blocks import ROOT
from editflow.flows.cli.common.error_border import INTERNAL_ERROR, USER_ERROR
from editflow.flows.console.signals import SIGNALS
from editflow.flows.console.standard_streams import BROKEN

TEXT = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
CODE = {
    path: path.read_text(encoding="utf-8")
    for room in ("editing", "flows", "storage", "tasks")
    for path in sorted((ROOT / room).rglob("*.py"))
}
INTERNAL = {"EDITFLOW_SERVER_OWNER", "EDITFLOW_SERVER_UNTIL_EOF"}
"""Variables that a run sets for the server that it starts."""


def named(text: str) -> set[str]:
    """EditFlow's environment variables in a piece of code."""
    return set(re.findall(r'"(EDITFLOW_[A-Z_]+)"', text))


def test_every_variable_is_listed() -> None:
    used = set().union(*map(named, CODE.values())) - INTERNAL
    deployed = set(re.findall(r"\$(EDITFLOW_[A-Z_]+)", (ROOT / "prefect.yaml").read_text(encoding="utf-8")))
    rows = re.findall(r"^\| (`[^|]*`) \|", TEXT, re.MULTILINE)
    listed = set(re.findall(r"EDITFLOW_[A-Z_]+", " ".join(rows)))
    assert listed == used | deployed
    assert named('os.environ["EDITFLOW_COLOUR"]') - listed  # the control


def test_every_exit_code_is_listed() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", TEXT, re.MULTILINE)
    listed = {int(code) for row in rows for code in row.split(", ")}
    doctor = map(int, re.findall(r"return (\d+) if", CODE[ROOT / "flows" / "cli" / "commands" / "doctor.py"]))
    assert listed == {0, USER_ERROR, INTERNAL_ERROR, BROKEN, *doctor, *(128 + number for number in SIGNALS)}
