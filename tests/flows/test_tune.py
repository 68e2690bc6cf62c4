"""`editflow tune` on a model that knows its facts: what it finds works on facts that it has never seen."""

from __future__ import annotations

import itertools
import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_trained
import tiny_world
from refusals import refused
from tiny_world import DirectPipeline, World, editflow, run_directly

from flows.edit_model import requested
from flows.spec import load_spec
from flows.tuning.budget import Budget
from flows.tuning.settings import CENTRES, NORMED, PLAIN, Setting, proposals, rounds, window
from flows.tuning.trial import OWN, Bench
from flows.tuning.tune import tune
from flows.tuning.wish import MARK, Wish, draft, sized
from storage.store import Lake
from tasks.requests import choose, load_requests, probes, unprobed
from tasks.trials import objective

SETTINGS = (
    "threads=1", "corpus.min_characters=50", "corpus.window=32", "corpus.tokens=4000", "corpus.partitions=2",
    "corpus.held_out_tokens=600", "contexts.count=2", "contexts.tokens=4",
)  # fmt: skip
PROBES = 24


def tuned(wish: Wish, lake: Path) -> dict[str, Any]:
    return tune(wish, Lake.open(lake), DirectPipeline, say=lambda _text: None)


@dataclass(frozen=True)
class Tuned:
    """A world, its lake after a whole scan, and what the scan said."""

    world: World
    wish: Wish
    lake: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """One scan from nothing, with all the time it wants. It takes half a minute."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    world = tiny_trained.make(folder)
    wish = Wish(str(world.model), str(world.facts), 60.0, PROBES, str(world.corpus), 0, SETTINGS, folder / "tuned.toml")
    return Tuned(world, wish, folder / "lake", tuned(wish, folder / "lake"))


def successes(summary: dict[str, Any], when: str = "after") -> list[float]:
    return [summary[when][name]["success"] for name in ("efficacy", "paraphrase", "neighbourhood")]


def test_what_it_finds_works_on_unseen_facts(whole: Tuned) -> None:
    """From nothing; the untuned control, at the last layer with a tiny clamp, does not."""
    spec, some = whole.wish.out, "requests.count=20"
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


def test_the_probes_are_not_judged(whole: Tuned) -> None:
    """No case and no subject of a run on the written spec was probed; without the key they would be."""
    spec = load_spec(whole.wish.out)
    everything = load_requests(whole.world.facts)
    probed = [fact for fact in everything if fact.request_id in whole.found["probes"]]
    assert len(probed) == PROBES
    cases, subjects = {f.request_id for f in probed}, {f.subject for f in probed}
    # The file has facts about a probe's subject that are no probe: they must go as well.
    assert any(f.subject in subjects and f.request_id not in cases for f in everything)
    judged = requested(spec.requests)
    assert judged
    assert not cases & {fact.request_id for fact in judged}
    assert not subjects & {fact.subject for fact in judged}
    control = requested(load_spec(whole.wish.out, ["requests.skip=0"]).requests)
    assert cases & {fact.request_id for fact in control}


def test_only_the_probes_were_edited_or_asked(whole: Tuned) -> None:
    store, asked = Lake.open(whole.lake, create=False), set[str]()
    for manifest in store.manifests():
        if manifest.kind == "requests" and manifest.created_by == whole.found["run"]:
            asked |= set(store.read(manifest.id)["request"].to_pylist())
    assert asked == set(whole.found["probes"])


def test_the_spec_is_plain_toml_with_reasons(whole: Tuned) -> None:
    text = whole.wish.out.read_text(encoding="utf-8")
    raw, best = tomllib.loads(text), whole.found["trials"][whole.found["best"] - 1]
    assert text.startswith(MARK)
    assert {key: raw["edit"][key] for key in ("layers", "z_layer", "ridge")} == {
        key: best[key] for key in ("layers", "z_layer", "ridge")
    }
    assert {key: raw["target_values"][key] for key in ("clamp", "learning_rate", "stop_at", "steps")} == {
        key: best[key] for key in ("clamp", "learning_rate", "stop_at", "steps")
    }
    assert raw["requests"]["skip"] == PROBES
    assert f"{best['objective']:.1f} at best" in text
    for trial in whole.found["trials"]:  # every clamp is there, as the value or as a commented alternative
        assert f"clamp = {trial['clamp']}" in text


def test_spectra_are_measured_once_and_told_by_layer(whole: Tuned) -> None:
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
    """It says what the command said, and comes from the states and evaluations it was read from."""
    store = Lake.open(whole.lake, create=False)
    rows, manifest = store.read(whole.found["artifact"]).to_pylist(), store.manifest(whole.found["artifact"])
    assert manifest.kind == "trials"
    for row, trial in zip(rows, whole.found["trials"], strict=True):
        assert row["objective"] == pytest.approx(trial["objective"])
        assert (row["layers"], row["clamp"], row["state"]) == (trial["layers"], trial["clamp"], trial["state"])
    assert manifest.parents["state"] == [row["state"] for row in rows]


def test_again_it_makes_nothing_and_costs_are_remembered(whole: Tuned) -> None:
    """The estimate of a trial that is reused is what it once took, not the moment that reading it takes."""
    known = {m.id for m in Lake.open(whole.lake).manifests()}
    again = tuned(whole.wish, whole.lake)
    assert {m.id for m in Lake.open(whole.lake).manifests()} == known
    assert again["artifact"] == whole.found["artifact"]
    store = Lake.open(whole.lake, create=False)
    for trial in again["trials"]:
        chain = store.manifest(trial["state"])
        assert chain.kind in OWN
        assert trial["own_s"] >= round(chain.seconds, 2)


def test_a_small_budget_still_tries_one(whole: Tuned, tmp_path: Path) -> None:
    found = tuned(replace(whole.wish, minutes=1e-9, out=tmp_path / "one.toml"), whole.lake)
    assert [trial["trial"] for trial in found["trials"]] == [1]
    assert tomllib.loads((tmp_path / "one.toml").read_text(encoding="utf-8"))["edit"]["layers"]


def test_an_interruption_keeps_what_was_tried(whole: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Bench.judge

    def interrupted(self: Bench, number: int, varied: str, setting: Setting) -> Any:
        if number == 3:
            raise KeyboardInterrupt
        return judge(self, number, varied, setting)

    monkeypatch.setattr(Bench, "judge", interrupted)
    out = tmp_path / "cut.toml"
    with pytest.raises(KeyboardInterrupt):
        tuned(replace(whole.wish, out=out), whole.lake)
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


# Without a model


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_world.write_lines(tmp_path_factory.mktemp("facts") / "facts.jsonl", tiny_world.records(12))


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["--budget", "0"], ["--budget 0", "above 0"]),
        (["--budget", "-3"], ["--budget -3", "above 0"]),
        (["--budget", "nan"], ["--budget nan", "above 0"]),
        (["--facts", "0"], ["--facts 0"]),
        (["--facts", "13"], ["12 facts with neighbours", "13", "lower --facts"]),
        (["--facts", "12"], ["no fact left", "lower --facts"]),
        (["--out", "no/such/tuned.toml"], ["no folder", "--out"]),
        (["--out", "."], ["is a folder", "tuned.toml"]),
        (["--set", "edit.method=memit"], ["edit.method=memit", "alphaedit"]),
        (["--set", "edit.z_layer=3"], ["edit.z_layer", "edit.layers"]),
        (["--set", "requests.skip=3"], ["requests.skip", "leave it out"]),
        (["--set", "edit.batchsize=3"], ["unknown key 'edit.batchsize'", "'batch_size'"]),
        (["--requests", "nothing.jsonl"], ["nothing.jsonl"]),
        (["--facts", "5"], ["no model './no/such/model'"]),
        (["--facts", "5", "--set", "edit.layers=[9]"], ["no model './no/such/model'"]),  # the z layer is the last one
        (["--set", "edit.layers=[true]"], ["edit.layers is true or false"]),
        (["--set", "null_space.value=0"], ["nothing may be changed"]),
        (["--set", "edit=5"], ["edit is a section"]),
        (["--set", "edit.layers=5"], ["edit.layers"]),
        (["--seed", "-1"], ["requests.seed", "greater than or equal to 0"]),
        (["--requests", "bare.jsonl"], ["bare.jsonl", "no fact with neighbourhood prompts"]),
        (["--requests", "bare.jsonl", "--set"], ["--set"]),
    ],
)
def test_what_cannot_be_is_one_line(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], fragments: list[str]
) -> None:
    """Before any work: no lake is made, no file is written."""
    monkeypatch.chdir(tmp_path)
    bare = [record | {"neighborhood_prompts": []} for record in tiny_world.records(12)]
    tiny_world.write_lines(tmp_path / "bare.jsonl", bare)
    usual = {"--requests": str(facts), "--budget": "1", "--facts": "4"}
    rest = [word for flag, value in usual.items() if flag not in words for word in (flag, value)]
    refused(editflow("tune", "./no/such/model", *rest, *words), *fragments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.jsonl"]


def test_a_corpus_that_is_not_there_is_told_first(
    world: World, facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--requests", facts, "--budget", 1, "--facts", 4, "--corpus", "none.txt", "--lake", tmp_path / "lake")
    refused(editflow("tune", world.model, *words), "no corpus 'none.txt'")
    assert not list(tmp_path.iterdir())


def test_the_budget_reckons_with_the_dearest_trial_alone() -> None:
    """Shared work is paid for, but is no estimate: with it in the estimate the third trial would not fit."""
    now = 0.0
    budget = Budget(100, lambda: now)
    now = 60  # moments and spectra, then a trial of ten seconds
    budget.own.append(10)
    assert budget.allows_another()
    now = 80
    budget.own.append(15)
    assert budget.allows_another()
    now = 86
    assert not budget.allows_another()


def test_probes_have_neighbours_and_more_add_to_the_end(facts: Path) -> None:
    found = load_requests(facts)
    found[3] = replace(found[3], neighborhood_prompts=())
    few, many = probes(found, 4, 7), probes(found, 8, 7)
    assert many[:4] == few
    assert found[3] not in probes(found, 12, 7)
    assert {*unprobed(found, 8, 7)} | {*many} == {*found}
    assert unprobed(found, 0, 7) == found
    assert choose(unprobed(found, 0, 7), None, 7, "") == choose(found, None, 7, "")


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 12, 30, 48])
def test_windows_lie_in_the_model(depth: int) -> None:
    for centre, width in itertools.product(CENTRES, PLAIN.widths):
        layers = window(depth, centre, width)
        assert list(layers) == list(range(layers[0], layers[-1] + 1))
        assert layers[0] >= 0
        assert layers[-1] <= max(0, depth - 2)
        assert len(layers) == min(width, max(1, depth // 3))


def test_the_scan_finds_the_top_of_a_hill_and_never_repeats() -> None:
    """A made-up objective that no single step from the start reaches the top of."""

    def height(s: Setting) -> float:
        return -abs(s.layers[0] - 5) - 3 * abs(s.clamp - 0.4) - abs(s.ridge - 10) / 10

    start = Setting(window(30, 0.2, 5), 8, 1.0, 0.5, 0.75, 0.05, 25)
    course = proposals(start, rounds(30, ()))
    (_, setting), tried = next(course), []
    with pytest.raises(StopIteration):
        while True:
            tried.append(setting)
            _, setting = course.send(height(setting))
    best = max(tried, key=height)
    assert len(set(tried)) == len(tried)
    assert (best.clamp, best.ridge) == (0.4, 10.0)
    assert best.z_layer == best.layers[-1]
    fixed = [turn.name for turn in rounds(30, ("clamp", "layers"))]
    assert not {"clamp", "centre", "width", "shift"} & set(fixed)


@pytest.mark.parametrize("model_type", ["gemma2", "llama"])
def test_behind_a_norm_one_layer_is_edited_at_a_time(facts: Path, model_type: str) -> None:
    """As deep as Gemma 2 2B, whose layers a window of five would be refused for; the Llama is the control."""
    wish = Wish("some/model", str(facts), 1.0)
    spec = sized(wish, draft(wish), {"depth": 26, "key_width": 64, "model_type": model_type})
    reach = NORMED if model_type == "gemma2" else PLAIN
    course, tried = proposals(Setting.of(spec), rounds(26, (), reach)), []
    _, setting = next(course)
    with pytest.raises(StopIteration):
        while True:
            tried.append(setting)
            _, setting = course.send(0.0)
    assert all(set(setting.layers) <= set(spec.corpus.layers or ()) for setting in tried)
    assert all(setting.z_layer == setting.layers[-1] for setting in tried)
    alone = all(len(setting.layers) == 1 for setting in tried)
    assert alone is (model_type == "gemma2")
    assert (max(setting.clamp for setting in tried) >= 2) is alone
    fixed = replace(wish, settings=("target_values.clamp=0.3",))
    assert (
        sized(fixed, draft(fixed), {"depth": 26, "key_width": 64, "model_type": model_type}).target_values.clamp == 0.3
    )


def test_the_objective_is_what_it_says() -> None:
    before = {"neighbourhood": 100.0, "neighbourhood_accuracy": 50.0}
    good = {"efficacy": 100.0, "paraphrase": 100.0, "neighbourhood": 100.0, "efficacy_accuracy": 100.0,
            "paraphrase_accuracy": 100.0, "neighbourhood_accuracy": 50.0}  # fmt: skip
    assert objective(good, before, 1.0) == pytest.approx(100)
    assert objective(good, before, 1.1) == pytest.approx(100)
    assert objective(good, before, 1.2) == pytest.approx(90)
    assert objective(good | {"neighbourhood_accuracy": 25.0}, before, 1.0) == pytest.approx(6 / (5 / 100 + 1 / 50))
    nothing, half = good | {"efficacy": 0.0, "paraphrase": 0.0}, good | {"paraphrase": 0.0}
    assert objective(nothing, before, 1.0) < objective(half, before, 1.0) < 10
    assert json.dumps(good)


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        (["corpus.layers=[0, 1]"], ["corpus.layers lacks [2]"]),
        (["corpus.layers=[2, 1, 0]"], ["corpus.layers", "ascend"]),
        (["corpus.layers=[0, 1, 2, 3]", "edit.method=memit"], ["corpus.layers must be edit.layers for memit"]),
        (["requests.skip=-1"], ["requests.skip"]),
    ],
)
def test_wrong_keys_are_refused(world: World, tmp_path: Path, settings: list[str], fragments: list[str]) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    refused(editflow("run", world.spec, "--lake", tmp_path / "lake", *words), *fragments)


def test_more_gathered_layers_edit_the_same(world: World, tmp_path: Path) -> None:
    """Other artifacts of moments, the same null spaces and the same edit; without the key the recipe is the old one."""
    one = ("requests.count=2", "evaluation.metrics=[]", "evaluation.perplexity=false")
    plain = run_directly(world.spec, tmp_path / "lake", *one)
    wide = run_directly(world.spec, tmp_path / "lake", *one, "corpus.layers=[0, 1, 2, 3]")
    assert plain["state"] != wide["state"]
    rows = [Lake.open(tmp_path / "lake").read(summary["state"]).to_pylist() for summary in (plain, wide)]
    assert [row["weight_digest"] for row in rows[0]] == [row["weight_digest"] for row in rows[1]]
    moments = [m.spec for m in tiny_world.artifacts(tmp_path / "lake", "second_moment") if "layers" in m.spec]
    assert {tuple(spec["layers"]) for spec in moments} == {(0, 1, 2), (0, 1, 2, 3)}
