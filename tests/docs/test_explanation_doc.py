"""docs/explanation.md explains only messages that exist in the code and settings that are keys of a spec."""

from __future__ import annotations

import re

import pytest

from docs.blocks import ROOT
from docs.generate import PARTS

TEXT = (ROOT / "docs" / "explanation.md").read_text(encoding="utf-8")
CODE = "".join(
    path.read_text(encoding="utf-8")
    for room in ("editing", "flows", "storage", "tasks")
    for path in sorted((ROOT / room).rglob("*.py"))
)
SYMPTOMS = re.findall(r"^\| (?!what|---)(.+?) \|", TEXT.partition("## What can go wrong")[2], re.MULTILINE)
MESSAGES = [message for cell in SYMPTOMS for message in re.findall(r"`([^`]+ [^`]+)`", cell)]


def parts(message: str) -> list[str]:
    """The constant parts of a message."""
    return [part.strip() for part in message.removeprefix("warning: ").split("…") if part.strip()]


def test_the_document_has_messages() -> None:
    assert len(MESSAGES) >= 6


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_exists_in_the_code(message: str) -> None:
    assert all(part in CODE for part in parts(message))


def test_another_wording_is_detected() -> None:
    assert not all(part in CODE for part in parts("warning: the second moments depend on … tokens"))


def test_settings_are_keys_of_a_spec() -> None:
    keys = re.findall(r"^\| `([\w.]+)` \|", PARTS["spec-keys"](), re.MULTILINE)
    named = re.findall(r"`((?:corpus|null_space|contexts|target_values|edit|evaluation)\.\w+)`", TEXT)
    assert named
    assert set(named) <= set(keys)
