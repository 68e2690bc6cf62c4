"""The promises of the demo, for three orders of the requests. Takes minutes; run by `make test-demo` only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.report_browser import WIDTHS, chromium, go_through, opened
from support.tiny_world import editflow

from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake
from editflow.tasks.stages.moments import read_moments

# One run of the demo takes about seven minutes on two cores.
pytestmark = [pytest.mark.demo, pytest.mark.timeout(3600)]

SPEC = Path(__file__).parents[2] / "specs" / "demo.toml"
LAYERS = load_spec(SPEC).edit.layers


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One lake for all orders: the corpus's moments and the null spaces are computed once."""
    return tmp_path_factory.mktemp("demo") / "lake"


@pytest.fixture(scope="module", params=[0, 1, 2], ids="seed {}".format)
def summary(request: pytest.FixtureRequest, lake: Path, server: str) -> Mapping[str, Any]:
    answer = editflow("run", SPEC, "--lake", lake, "--set", f"requests.seed={request.param}", "--json")
    assert answer.code == 0, answer.err
    found: Mapping[str, Any] = answer.json["summary"]
    print(f"\nseed {request.param}: before {found['before']}\n        after  {found['after']}")
    return found


def test_at_least_a_hundred_facts_in_five_batches(summary: Mapping[str, Any]) -> None:
    assert summary["facts"] >= 100
    assert len(summary["batches"]) >= 5


def test_the_facts_are_learned(summary: Mapping[str, Any]) -> None:
    before, after = summary["before"], summary["after"]
    assert before["efficacy"]["success"] <= 50  # control: the base model did not answer so
    assert after["efficacy"]["success"] >= 98
    assert after["efficacy"]["accuracy"] >= 90
    assert after["paraphrase"]["success"] >= 85


def test_other_knowledge_is_preserved(summary: Mapping[str, Any]) -> None:
    before, after = summary["before"], summary["after"]
    assert after["neighbourhood"]["success"] >= before["neighbourhood"]["success"] - 5
    assert after["perplexity"] <= 1.10 * before["perplexity"]


def test_its_report_in_a_browser(summary: Mapping[str, Any], lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert editflow("report", "last", "--out", out, "--lake", lake).code == 0
    assert f"{summary['facts']} facts were written" in out.read_text(encoding="utf-8")
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, out, *width) as page:
                go_through(page)


def test_preserved_knowledge_rests_on_a_hundred_thousand_tokens(summary: Mapping[str, Any], lake: Path) -> None:
    store = Lake.open(lake)
    change = store.manifest(str(store.manifest(summary["state"]).parents["weight_change"]))
    assert len(change.parents["null_space"]) == len(LAYERS)
    for space in change.parents["null_space"]:
        spectrum = store.manifest(str(store.manifest(space).parents["spectrum"]))
        moments = read_moments(store, str(spectrum.parents["second_moment"]))
        assert min(moment.count for moment in moments.values()) >= 100_000


def test_artifacts_shared_by_all_orders_are_computed_once(summary: Mapping[str, Any], lake: Path) -> None:
    assert summary["state"]
    assert len(tiny_world.artifacts(lake, "model")) == 1
    assert len(tiny_world.artifacts(lake, "null_space")) == len(LAYERS)
