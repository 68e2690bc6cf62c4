"""Runs `editflow doctor` and groups its findings by check."""

from __future__ import annotations

from pathlib import Path

from support.tiny_world import editflow


def doctor(lake: Path, *more: str) -> dict[str, list[dict[str, str]]]:
    """The findings by check; asserts that the exit code matches the worst verdict."""
    answer = editflow("doctor", "--json", "--lake", lake, *more)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in answer.json:
        found.setdefault(finding["check"], []).append(finding)
        assert (finding["remedy"] == "") == (finding["verdict"] == "ok"), finding
    wrong = "problem" in {finding["verdict"] for finding in answer.json}
    assert (answer.code, answer.err) == (int(wrong), "")
    return found
