"""The arguments that `editflow tune` refuses before any work, and the course of its search. No model is trained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import World, editflow, run_directly

from editflow.flows.tuning.arguments import TuneArguments, draft, fit_to_model
from editflow.flows.tuning.budget import Budget
from editflow.flows.tuning.search_space import CENTRES, NORMED, PLAIN, Setting, Sweep, proposals, sweeps, window
from editflow.storage.artifacts.store import Lake
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.sources.edit_requests import choose_probes, choose_requests, load_requests, without_probes
from editflow.tasks.stages.tuning_trials import objective


def described(model_type: str) -> ModelDescription:
    return ModelDescription("m", "float32", model_type, 26, 64, None, 0)


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
        (["--set", "edit.method=ft"], ["edit.method=ft", "use alphaedit, memit, prune, rect"]),
        (["--set", "edit.z_layer=3"], ["edit.z_layer", "edit.layers"]),
        (["--set", "requests.exclude_probes=3"], ["requests.exclude_probes", "leave it out"]),
        (["--set", "edit.batchsize=3"], ["unknown key 'edit.batchsize'", "'batch_size'"]),
        (["--requests", "nothing.jsonl"], ["nothing.jsonl"]),
        (["--facts", "5"], ["no model './no/such/model'"]),
        (["--facts", "5", "--set", "edit.layers=[9]"], ["no model './no/such/model'"]),  # the z layer is the last one
        (["--set", "edit.layers=[true]"], ["edit.layers is true or false"]),
        (["--set", "null_space.value=0"], ["choose a value above 0"]),
        (["--set", "edit=5"], ["edit is a section"]),
        (["--set", "edit.layers=5"], ["edit.layers"]),
        (["--seed", "-1"], ["requests.seed", "greater than or equal to 0"]),
        (["--requests", "bare.jsonl"], ["bare.jsonl", "no fact with neighbourhood prompts"]),
        (["--requests", "bare.jsonl", "--set"], ["--set"]),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(
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


def test_a_missing_corpus_is_refused_before_any_work(
    world: World, facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--requests", facts, "--budget", 1, "--facts", 4, "--corpus", "none.txt", "--lake", tmp_path / "lake")
    refused(editflow("tune", world.model, *words), "no corpus 'none.txt'")
    assert not list(tmp_path.iterdir())


def test_the_budget_estimates_with_the_slowest_trial_only() -> None:
    """Shared work uses up the budget but is not part of the estimate; if it were, the third trial would not fit."""
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
    few, many = choose_probes(found, 4, 7), choose_probes(found, 8, 7)
    assert many[:4] == few
    assert found[3] not in choose_probes(found, 12, 7)
    assert {*without_probes(found, 8, 7)} | {*many} == {*found}
    assert without_probes(found, 0, 7) == found
    assert choose_requests(without_probes(found, 0, 7), None, 7, "") == choose_requests(found, None, 7, "")


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 12, 30, 48])
def test_windows_lie_in_the_model(depth: int) -> None:
    for centre, width in itertools.product(CENTRES, PLAIN.widths):
        layers = window(depth, centre, width)
        assert list(layers) == list(range(layers[0], layers[-1] + 1))
        assert layers[0] >= 0
        assert layers[-1] <= max(0, depth - 2)
        assert len(layers) == min(width, max(1, depth // 3))


def walked(
    start: Setting, planned: Sequence[Sweep], height: Callable[[Setting], float] = lambda _setting: 0.0
) -> list[Setting]:
    """All settings that a search proposes if `height` is the objective."""
    course, tried = proposals(start, planned), list[Setting]()
    _, setting = next(course)
    with pytest.raises(StopIteration):
        while True:
            tried.append(setting)
            _, setting = course.send(height(setting))
    return tried


def test_the_search_finds_the_top_of_a_hill_and_never_repeats() -> None:
    """A made-up objective that no single step from the start reaches the top of."""

    def height(s: Setting) -> float:
        return -abs(s.layers[0] - 5) - 3 * abs(s.clamp - 0.4) - abs(s.ridge - 10) / 10

    start = Setting(window(30, 0.2, 5), 8, 1.0, 0.5, 0.75, 0.05, 25)
    tried = walked(start, sweeps(30, ()), height)
    best = max(tried, key=height)
    assert len(set(tried)) == len(tried)
    assert (best.clamp, best.ridge) == (0.4, 10.0)
    assert best.z_layer == best.layers[-1]
    fixed = [sweep.name for sweep in sweeps(30, ("clamp", "layers"))]
    assert not {"clamp", "centre", "width", "shift"} & set(fixed)


def test_alpha_is_searched_if_the_method_has_it(facts: Path) -> None:
    """λ, which is 0 there, is not searched. For AlphaEdit, the control, it is the other way round."""
    about = described("llama")
    for method, searched, constant in (("memit", "alpha", "ridge"), ("alphaedit", "ridge", "alpha")):
        given = TuneArguments("some/model", str(facts), 1.0, settings=(f"edit.method={method}",))
        spec = fit_to_model(given, draft(given), about)
        start = Setting.of(spec)
        tried = walked(start, sweeps(26, (), PLAIN, start.regulariser))
        assert len({getattr(setting, searched) for setting in tried}) == 6
        assert len({getattr(setting, constant) for setting in tried}) == 1
        assert {getattr(setting.apply_to(spec).edit.options, searched) for setting in tried} == {
            getattr(setting, searched) for setting in tried
        }
    fixed = TuneArguments("some/model", str(facts), 1.0, settings=("edit.method=memit", "edit.alpha=300"))
    assert not {sweep.name for sweep in sweeps(26, fixed.fixed, PLAIN, "alpha")} & {"alpha", "ridge"}


@pytest.mark.parametrize("model_type", ["gemma2", "llama"])
def test_with_a_norm_after_the_layer_one_layer_is_edited_at_a_time(facts: Path, model_type: str) -> None:
    """As deep as Gemma 2 2B, which would refuse a window of five layers; the Llama is the control."""
    given = TuneArguments("some/model", str(facts), 1.0)
    spec = fit_to_model(given, draft(given), described(model_type))
    search_range = NORMED if model_type == "gemma2" else PLAIN
    tried = walked(Setting.of(spec), sweeps(26, (), search_range))
    assert all(set(setting.layers) <= set(spec.corpus.layers or ()) for setting in tried)
    assert all(setting.z_layer == setting.layers[-1] for setting in tried)
    alone = all(len(setting.layers) == 1 for setting in tried)
    assert alone is (model_type == "gemma2")
    assert (max(setting.clamp for setting in tried) >= 2) is alone
    fixed = replace(given, settings=("target_values.clamp=0.3",))
    assert fit_to_model(fixed, draft(fixed), described(model_type)).target_values.clamp == 0.3


def test_the_objective_follows_its_definition() -> None:
    good = {"efficacy": 100.0, "paraphrase": 100.0, "neighbourhood": 100.0, "efficacy_accuracy": 100.0}
    assert objective(good, 1.0) == objective(good, 0.9) == pytest.approx(100)
    assert objective(good, 1.2) == pytest.approx(80)
    for name in good:
        assert objective(good | {name: 50.0}, 1.0) == pytest.approx(4 / (3 / 100 + 1 / 50))
    nothing, half = good | {"efficacy": 0.0, "paraphrase": 0.0}, good | {"paraphrase": 0.0}
    assert objective(nothing, 1.0) < objective(half, 1.0) < 10
    # Other scores do not count: few probes cannot measure a share of a few percent.
    assert objective(good | {"neighbourhood_accuracy": 2.0, "paraphrase_accuracy": 10.0}, 1.0) == pytest.approx(100)


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        (["corpus.layers=[0, 1]"], ["corpus.layers", "[2]"]),
        (["corpus.layers=[2, 1, 0]"], ["corpus.layers", "ascend"]),
        (["requests.exclude_probes=-1"], ["requests.exclude_probes"]),
    ],
)
def test_wrong_keys_are_refused(world: World, tmp_path: Path, settings: list[str], fragments: list[str]) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    refused(editflow("run", world.spec, "--lake", tmp_path / "lake", *words), *fragments)


@pytest.mark.parametrize("method", ["alphaedit", "memit"])
def test_moments_of_more_layers_give_the_same_edit(world: World, tmp_path: Path, method: str) -> None:
    """The moments are other artifacts with the same content per layer; without the key the recipe is unchanged."""
    one = ("requests.count=2", "evaluation.metrics=[]", "evaluation.perplexity=false", f"edit.method={method}")
    plain = run_directly(world.spec, tmp_path / "lake", *one)
    wide = run_directly(world.spec, tmp_path / "lake", *one, "corpus.layers=[0, 1, 2, 3]")
    assert plain["state"] != wide["state"]
    rows = [Lake.open(tmp_path / "lake").read(summary["state"]).to_pylist() for summary in (plain, wide)]
    assert [row["weight_digest"] for row in rows[0]] == [row["weight_digest"] for row in rows[1]]
    moments = [m.spec for m in tiny_world.artifacts(tmp_path / "lake", "second_moment") if "layers" in m.spec]
    assert {tuple(spec["layers"]) for spec in moments} == {(0, 1, 2), (0, 1, 2, 3)}
