"""`editflow query` limits time and rows, reports omitted rows, and ends on Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Timer

import pytest
from support.error_checks import refused
from support.tiny_world import editflow

from editflow.flows.cli.commands import query
from editflow.storage.artifacts.store import Lake
from editflow.storage.queries import query_process

pytestmark = pytest.mark.slow

ENDLESS = "SELECT count(*) FROM range(1000000000000)"


def test_omitted_rows_are_reported(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake").uri
    few = editflow("query", "SELECT range AS n FROM range(5)", "--rows", "3", "--json", "--lake", lake)
    assert few.json == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert "more rows" in few.err
    table = editflow("query", "SELECT range AS n FROM range(1200)", "--lake", lake)
    assert len(table.out.splitlines()) == 1 + 1000
    assert "more rows" in table.err
    whole = editflow("query", "SELECT range AS n FROM range(1200)", "--json", "--lake", lake)
    assert [row["n"] for row in whole.json] == list(range(1200))
    assert "more rows" not in whole.err


def test_the_suggested_number_of_rows_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.open(tmp_path / "lake").uri
    monkeypatch.setattr(query, "MAX_ROWS", 50)
    for rows, advised in ((4, 40), (20, 50), (50, None)):
        message = editflow("query", "SELECT range AS n FROM range(60)", "--rows", rows, "--lake", lake).err
        assert "more rows" in message
        assert ("--rows" in message, f"--rows {advised} " in message) == (advised is not None,) * 2


def test_an_endless_query_is_stopped(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake").uri
    refused(editflow("query", ENDLESS, "--timeout", "0.5", "--lake", lake), "stopped", "--timeout")
    for wrong in (["--timeout", "0"], ["--timeout", "nan"], ["--timeout", "inf"], ["--rows", "0"], ["--rows", "x"]):
        refused(editflow("query", "SELECT 1", *wrong, "--lake", lake), wrong[0])


class InterruptingTimer(Timer):
    """Sends Ctrl-C when the query starts its timer."""

    def start(self) -> None:
        super().start()
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_a_query_is_exit_code_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.open(tmp_path / "lake").uri
    monkeypatch.setattr(query_process, "Timer", InterruptingTimer)
    answer = editflow("query", ENDLESS, "--lake", lake)
    assert answer.code == 130
    assert len(answer.err.splitlines()) == 1
