"""`editflow tune` on a model that knows its facts: the settings that it finds work on unseen facts."""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support import tiny_trained, tiny_world
from support.error_checks import refused
from support.tiny_world import DirectPipeline, World, editflow, run_directly

from editflow.flows.pipeline.facts import load_facts
from editflow.flows.spec.loading import load_spec
from editflow.flows.tuning.arguments import MARK, TuneArguments
from editflow.flows.tuning.search_space import Setting
from editflow.flows.tuning.trial import OWN, TrialRunner
from editflow.flows.tuning.tune import tune
from editflow.storage.artifacts.store import Lake
from editflow.tasks.sources.edit_requests import load_requests

pytestmark = pytest.mark.exhaustive

SETTINGS = (
    "threads=1", "corpus.min_characters=50", "corpus.window=32", "corpus.tokens=4000", "corpus.partitions=2",
    "corpus.held_out_tokens=600", "contexts.count=2", "contexts.tokens=4",
)  # fmt: skip
PROBES = 24


def tuned(given: TuneArguments, lake: Path) -> dict[str, Any]:
    return tune(given, Lake.open(lake), DirectPipeline, report=lambda _text: None)


@dataclass(frozen=True)
class Tuned:
    """A world, its lake after a complete search, and the result of the search."""

    world: World
    given: TuneArguments
    lake: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """One search from an empty lake with ample time. Takes half a minute."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    world = tiny_trained.make(folder)
    given = TuneArguments(
        str(world.model), str(world.facts), 60.0, PROBES, str(world.corpus), 0, SETTINGS, folder / "tuned.toml"
    )
    return Tuned(world, given, folder / "lake", tuned(given, folder / "lake"))


def successes(summary: dict[str, Any], when: str = "after") -> list[float]:
    return [summary[when][name]["success"] for name in ("efficacy", "paraphrase", "neighbourhood")]


def test_the_tuned_settings_work_on_unseen_facts(whole: Tuned) -> None:
    """From an empty lake. The untuned control, at the last layer with a tiny clamp, fails."""
    spec, some = whole.given.out, "requests.count=20"
    summary = run_directly(spec, whole.lake, some)
    efficacy, paraphrase, neighbourhood = successes(summary)
    assert min(efficacy, paraphrase) >= 75
    assert neighbourhood >= successes(summary, "before")[2] - 20
    bad = ("edit.layers=[2]", "edit.z_layer=2", "corpus.layers=[2]", "target_values.clamp=0.05")
    assert max(successes(run_directly(spec, whole.lake, some, *bad))[:2]) < 40


def test_the_best_trial_is_chosen_and_better_than_the_first(whole: Tuned) -> None:
    trials = {trial["trial"]: trial for trial in whole.found["trials"]}
    best = trials[whole.found["best"]]
    assert best["objective"] == max(trial["objective"] for trial in trials.values())
    assert best["objective"] > trials[1]["objective"] + 20


def test_runs_exclude_the_probes(whole: Tuned) -> None:
    """A run of the written spec has no probed case or subject; without the key it would have some."""
    spec = load_spec(whole.given.out)
    everything = load_requests(whole.world.facts)
    probed = [fact for fact in everything if fact.request_id in whole.found["probes"]]
    assert len(probed) == PROBES
    cases, subjects = {f.request_id for f in probed}, {f.subject for f in probed}
    # The file has other facts about a probe's subject, which must be excluded too.
    assert any(f.subject in subjects and f.request_id not in cases for f in everything)
    judged = load_facts(spec.requests)
    assert judged
    assert not cases & {fact.request_id for fact in judged}
    assert not subjects & {fact.subject for fact in judged}
    control = load_facts(load_spec(whole.given.out, ["requests.exclude_probes=0"]).requests)
    assert cases & {fact.request_id for fact in control}


def test_only_the_probes_were_edited_or_asked(whole: Tuned) -> None:
    store, asked = Lake.open(whole.lake, create=False), set[str]()
    for manifest in store.manifests():
        if manifest.kind == "requests" and manifest.created_by == whole.found["run"]:
            asked |= set(store.read(manifest.id)["request"].to_pylist())
    assert asked == set(whole.found["probes"])


def test_the_spec_is_plain_toml_with_reasons(whole: Tuned) -> None:
    text = whole.given.out.read_text(encoding="utf-8")
    raw, best = tomllib.loads(text), whole.found["trials"][whole.found["best"] - 1]
    assert text.startswith(MARK)
    assert {key: raw["edit"][key] for key in ("layers", "z_layer", "ridge")} == {
        key: best[key] for key in ("layers", "z_layer", "ridge")
    }
    assert {key: raw["target_values"][key] for key in ("clamp", "learning_rate", "stop_at", "steps")} == {
        key: best[key] for key in ("clamp", "learning_rate", "stop_at", "steps")
    }
    assert raw["requests"]["exclude_probes"] == PROBES
    assert f"{best['objective']:.1f} at best" in text
    for trial in whole.found["trials"]:  # every clamp is there, as the value or as a commented alternative
        assert f"clamp = {trial['clamp']}" in text


def test_spectra_are_measured_once_and_reported_per_layer(whole: Tuned) -> None:
    threshold, store = whole.found["threshold"], Lake.open(whole.lake, create=False)
    layers = [row["layer"] for row in threshold["layers"]]
    tried = set(itertools.chain.from_iterable(trial["layers"] for trial in whole.found["trials"]))
    made = [m for m in store.manifests() if m.created_by == whole.found["run"]]
    assert tried <= set(layers)
    assert sum(m.kind == "spectrum" for m in made) == len(layers)
    assert threshold["rule"] == "energy"
    for row in threshold["layers"]:
        assert row["free %"] == pytest.approx(100 * row["null space"] / row["width"])


def test_the_table_is_an_artifact(whole: Tuned) -> None:
    """It equals the command's output, and its parents are the states and evaluations of the trials."""
    store = Lake.open(whole.lake, create=False)
    rows, manifest = store.read(whole.found["artifact"]).to_pylist(), store.manifest(whole.found["artifact"])
    assert manifest.kind == "trials"
    for row, trial in zip(rows, whole.found["trials"], strict=True):
        assert row["objective"] == pytest.approx(trial["objective"])
        assert (row["layers"], row["clamp"], row["state"]) == (trial["layers"], trial["clamp"], trial["state"])
    assert manifest.parents["state"] == [row["state"] for row in rows]


def test_a_second_search_creates_nothing_and_reuses_costs(whole: Tuned) -> None:
    """The estimate for a reused trial is its original cost, not the time of reading it."""
    known = {m.id for m in Lake.open(whole.lake).manifests()}
    again = tuned(whole.given, whole.lake)
    assert {m.id for m in Lake.open(whole.lake).manifests()} == known
    assert again["artifact"] == whole.found["artifact"]
    store = Lake.open(whole.lake, create=False)
    for trial in again["trials"]:
        chain = store.manifest(trial["state"])
        assert chain.kind in OWN
        assert trial["own_s"] >= round(chain.seconds, 2)


def test_a_small_budget_still_runs_one_trial(whole: Tuned, tmp_path: Path) -> None:
    found = tuned(replace(whole.given, minutes=1e-9, out=tmp_path / "one.toml"), whole.lake)
    assert [trial["trial"] for trial in found["trials"]] == [1]
    assert tomllib.loads((tmp_path / "one.toml").read_text(encoding="utf-8"))["edit"]["layers"]


def test_a_method_with_alpha_needs_no_threshold(whole: Tuned, tmp_path: Path) -> None:
    """Its spec runs on the moments that the search computed."""
    settings = (*SETTINGS, "edit.method=memit", "edit.previous_keys=true")
    given = replace(whole.given, minutes=1e-9, settings=settings, out=tmp_path / "memit.toml")
    found = tuned(given, whole.lake)
    raw = tomllib.loads(given.out.read_text(encoding="utf-8"))
    assert found["threshold"] is None
    assert "null_space" not in raw
    assert raw["edit"]["method"] == "memit"
    assert raw["edit"]["alpha"] == found["trials"][0]["alpha"]
    (row,) = Lake.open(whole.lake).read(found["artifact"]).to_pylist()
    assert row["alpha"] == raw["edit"]["alpha"]
    moments = {m.id for m in tiny_world.artifacts(whole.lake, "second_moment")}
    assert run_directly(given.out, whole.lake, "requests.count=3")["facts"] == 3
    assert {m.id for m in tiny_world.artifacts(whole.lake, "second_moment")} == moments


def test_an_interruption_keeps_finished_trials(whole: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = TrialRunner.judge

    def interrupted(self: TrialRunner, number: int, varied: str, setting: Setting) -> Any:
        if number == 3:
            raise KeyboardInterrupt
        return judge(self, number, varied, setting)

    monkeypatch.setattr(TrialRunner, "judge", interrupted)
    out = tmp_path / "cut.toml"
    with pytest.raises(KeyboardInterrupt):
        tuned(replace(whole.given, out=out), whole.lake)
    assert "the best of 2 trials" in out.read_text(encoding="utf-8")
    (record,) = [r for r in editflow("runs", "--json", "--lake", whole.lake).json if r["status"] == "interrupted"]
    uses = editflow("show", record["run"], "--json", "--lake", whole.lake).json["uses"]
    (table,) = [use["artifact"] for use in uses if use["stage"] == "trials"]
    assert len(Lake.open(whole.lake).read(table)) == 2


def test_a_foreign_file_is_left_alone(whole: Tuned, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    out.write_text("name = 'mine'\n", encoding="utf-8")
    answer = editflow("tune", whole.world.model, "--requests", whole.world.facts, "--budget", 1, "--out", out)
    refused(answer, "mine.toml", "was not written by editflow tune", "--out")
    assert out.read_text(encoding="utf-8") == "name = 'mine'\n"
