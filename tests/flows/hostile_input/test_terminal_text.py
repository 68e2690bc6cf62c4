"""Untrusted text cannot control the terminal: in tables, lines, trees, labels, errors and JSON."""

# ruff: noqa: S608 - the SQL is put together from the test's own words

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import hostile_lake
from support.error_checks import refused
from support.hostile_lake import LONG, SHOWN, TEXT
from support.terminals import COMMANDING, on_terminal, several
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake

pytestmark = pytest.mark.exhaustive

REQUESTS = "SELECT * FROM requests"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    store = hostile_lake.lake(tmp_path_factory.mktemp("hostile") / "lake")
    hostile_lake.damaged(store)
    return store


def commands(lake: Lake) -> list[list[str]]:
    """Every command that shows content of a lake."""
    documents = next(m.id for m in lake.manifests() if m.kind == "documents")
    arguments = [
        ["runs"],
        ["show", hostile_lake.record(lake).run_id],
        ["show", "last"],
        ["lineage", documents],
        ["query", REQUESTS],
        ["query", "SELECT message, name, spec_path, summary, environment FROM runs"],
        ["query", f"""SELECT '{TEXT}' AS "{TEXT}", ['{TEXT}'] AS list, {{'{TEXT}': '{TEXT}'}} AS struct"""],
        ["doctor"],
        ["verify"],
        ["lineage", documents, "--sources"],
        ["lineage", f"request:{TEXT}", "--results"],
    ]
    return [[*command, "--lake", lake.uri] for command in arguments]


@pytest.mark.parametrize("number", range(11))
def test_no_output_controls_the_terminal(lake: Lake, number: int) -> None:
    answer = editflow(*commands(lake)[number])
    assert answer.code in (0, 1), answer.err
    assert not COMMANDING.search(answer.out + answer.err)
    whole = answer.out.replace("\n", "")
    for part in SHOWN:
        assert part in whole or number in {7, 8}
    assert max(map(len, answer.out.splitlines())) < 10 * 4 * 500, "long values are shortened"
    assert "…" in answer.out or number in {2, 3, 6, 7, 8, 10}


def test_the_raw_text_controls_the_terminal(lake: Lake) -> None:
    """The control: the lake contains control sequences, and printing them unescaped would send them to the terminal."""
    (row,) = editflow("query", REQUESTS, "--json", "--lake", lake.uri).json
    assert row["subject"] == LONG
    assert len(COMMANDING.findall(row["subject"])) >= 10


@pytest.mark.parametrize("number", range(7))
def test_json_is_complete_and_escaped(lake: Lake, number: int) -> None:
    answer = editflow(*commands(lake)[number], "--json")
    assert not COMMANDING.search(answer.out)
    assert answer.err == ""
    assert "…" not in answer.out, "nothing is shortened"
    text = json.dumps(answer.json, ensure_ascii=False)
    assert json.dumps(TEXT, ensure_ascii=False)[1:-1] in text
    assert number in {3, 6} or "ü" * 10_000 in text


def test_on_a_real_terminal(lake: Lake) -> None:
    """With colours, only rich's own sequences for colour and erasing are left, not those of the text."""
    output = on_terminal(several(commands(lake)), columns=200)
    for part in ("\x07", "\x1b]", "\x1b[31mE", "\u202e", "\u200b", "\x9b", "\ufeff"):
        assert part not in output
    assert "\x1b[1m" in output, "the control: these are colours"


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", f"{TEXT}?"],
        ["show", LONG],
        ["lineage", TEXT],
        ["lineage", LONG],
        ["lineage", f"request:{TEXT}?", "--results"],
        ["export-run", f"{TEXT}?"],
        ["rerun", f"{TEXT}.zip"],
        ["query", f'SELECT "{TEXT}"'],
        ["query", f"SELECT {TEXT}"],
        ["query", f"SELECT * FROM '{TEXT}'"],
        ["ask", f"{TEXT}?", "x"],
        ["runs", TEXT],
        ["runs", f"--{TEXT}"],
        [TEXT],
        ["run", TEXT],
        ["completion", TEXT],
    ],
    ids=lambda words: f"{words[0][:9]} {len(words[-1])}",
)
def test_error_messages_are_escaped(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITFLOW_LAKE", lake.uri)
    answer = editflow(*arguments)
    refused(answer)
    assert not COMMANDING.search(answer.err)
    assert "\\x1b[31mE" in answer.err or arguments == ["query", f"SELECT {TEXT}"]
    assert len(answer.err) < 2200


def test_a_strangers_run_has_no_report(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name opens no other path, and the error names the missing part."""
    monkeypatch.chdir(tmp_path)
    refused(editflow("report", "last", "--lake", lake.uri), "has no model to report")
    assert list(tmp_path.iterdir()) == []


def test_a_long_subject_in_an_error_is_shortened(world: World, tmp_path: Path) -> None:
    """An error about a subject of ten thousand characters still shows the remedy."""
    rewrite = {"prompt": "x", "subject": LONG, "target_true": {"str": "a"}, "target_new": {"str": "b"}}
    facts = tmp_path / "facts.jsonl"
    facts.write_text(json.dumps({"case_id": 1, "requested_rewrite": rewrite}) + "\n")
    answer = editflow("run", world.spec, "--lake", tmp_path / "lake", "--set", f"requests.source={facts}")
    refused(answer, "facts.jsonl, line 1", "\\x1b[31mE", "…")
    assert not COMMANDING.search(answer.err)
    assert len(answer.err) < 2200
