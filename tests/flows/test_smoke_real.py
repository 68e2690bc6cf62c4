"""The smoke spec on the default model, end to end. Needs what `editflow fetch` brings; about a minute and a half."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import tiny_world
from tiny_world import Answer, editflow
from watched import WIDTHS, chromium, go_through, opened

from storage.store import Lake
from tasks.models import open_model

pytestmark = pytest.mark.real_model

SPEC = Path(__file__).parents[2] / "specs" / "smoke.toml"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that test_real_keys uses too: whichever comes second finds everything there."""
    return tmp_path_factory.getbasetemp() / "smoke-lake"


@pytest.fixture(scope="module")
def answer(lake: Path, server: str) -> Answer:
    return editflow("run", SPEC, "--lake", lake, "--json")


def test_the_facts_are_in_and_the_rest_stays(answer: Answer) -> None:
    assert answer.code == 0, answer.err
    before, after = answer.json["summary"]["before"], answer.json["summary"]["after"]
    assert after["efficacy"]["success"] == 100
    assert after["efficacy"]["accuracy"] >= 90
    assert before["efficacy"]["accuracy"] <= 25  # control: the model did not say so before
    # Forty prompts on a tiny corpus, so one is 2.5 points; the demo is held to five points on five hundred.
    assert math.isclose(after["neighbourhood"]["success"], before["neighbourhood"]["success"], abs_tol=10)
    assert after["perplexity"] <= 1.1 * before["perplexity"]


def test_the_edited_model_answers_otherwise(answer: Answer, lake: Path) -> None:
    """One fact of each batch, by its own prompt, from the archive."""
    sql = "SELECT replace(prompt, '{}', subject) AS prompt, target_new FROM edits WHERE position = 0"
    facts = editflow("query", sql, "--json", "--lake", lake).json
    assert len(facts) == 2
    told = [editflow("ask", "smoke", fact["prompt"], "--tokens", "5", "--json", "--lake", lake).json for fact in facts]
    assert all(said["base"] != said["edited"] for said in told)
    assert any(fact["target_new"] in said["edited"] for fact, said in zip(facts, told, strict=True))


def test_its_report_says_what_the_models_say(answer: Answer, lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert editflow("report", "smoke", "--out", out, "--lake", lake).code == 0
    (said,) = tiny_world.artifacts(lake, "answers")
    asked = editflow("query", "SELECT request, target_new FROM edits", "--json", "--lake", lake).json
    wanted = {row["request"]: row["target_new"] for row in asked}
    rows = Lake.open(lake).read(said.id).to_pylist()
    assert len(rows) == len(wanted)
    assert sum(wanted[row["request"]] in row["edited"] for row in rows) > len(rows) / 2
    assert sum(wanted[row["request"]] in row["base"] for row in rows) < len(rows) / 2  # control
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, out, *width) as page:
                go_through(page)


def test_the_same_again_reuses_everything_and_loads_nothing(answer: Answer, lake: Path) -> None:
    open_model.cache_clear()
    with tiny_world.counted_loads() as loads:
        again = editflow("run", SPEC, "--lake", lake, "--json")
    assert again.code == 0, again.err
    assert loads == []
    assert {use["how"] for use in again.json["uses"]} == {"reused"}
    assert again.json["summary"] == answer.json["summary"]


def test_the_model_alone_is_loaded_without_the_network(answer: Answer, lake: Path) -> None:
    """Everything came out of the cache of `editflow fetch`: the model's folder lies in it."""
    from tasks.fetch import cache

    (model,) = tiny_world.artifacts(lake, "model")
    assert Path(str(model.about["folder"])).is_relative_to(cache().resolve())
