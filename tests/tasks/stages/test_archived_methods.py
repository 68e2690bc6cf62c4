"""Runs of every method from spec to lake: their artifacts, resuming, and exact restoration of the weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from support import tiny_world
from support.method_settings import NEEDS, SETTINGS, SMALL
from support.tiny_world import World

from editflow.editing.editors.facts import tokenize_fact
from editflow.editing.editors.methods import method
from editflow.editing.editors.norm_anchor import reference_norms
from editflow.editing.editors.target_values import TargetValue
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.models.model_session import ModelSession, state_chain
from editflow.tasks.report.report_stage import read_page, report
from editflow.tasks.sources.edit_requests import load_requests
from editflow.tasks.stages.solver_inputs import SolverInputs

pytestmark = pytest.mark.exhaustive

SPACES = {"second_moment", "spectrum", "null_space"}


@pytest.fixture(scope="module", params=SETTINGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lake(name: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods") / "lake"
    tiny_world.run_directly(world.spec, folder, *SMALL, *SETTINGS[name])
    return folder


def chain(lake: Path) -> list[str]:
    """The states of the lake's only run, from the model on."""
    states = tiny_world.artifacts(lake, "state")
    parents = {state.parents["state"] for state in states}
    (last,) = [state.id for state in states if state.id not in parents]
    return [link.id for link in state_chain(Lake.open(lake), last)]


def test_only_artifacts_that_the_method_needs_are_created(name: str, lake: Path) -> None:
    made = {manifest.kind for manifest in Lake.open(lake).manifests()}
    assert made & SPACES == NEEDS[name]
    assert ({"target_values", "keys", "contexts"} & made == set()) == (name == "ft")
    for change in tiny_world.artifacts(lake, "weight_change"):
        assert set(change.parents) & SPACES <= NEEDS[name]


def test_states_are_restored_from_the_lake(name: str, lake: Path, world: World) -> None:
    """The restored weights of each state have the recorded digests, and the changes the declared form."""
    store = Lake.open(lake)
    ids = chain(lake)
    session = ModelSession.load(world.model, "float32", "cpu")
    for state in (*ids, *ids[::-1]):
        session.load_state(store, state)  # raises StateMismatch otherwise
    rows = [row for state in ids[1:] for row in store.read(state).to_pylist()]
    assert len(rows) >= 2
    declared = load_spec(world.spec, SETTINGS[name]).edit.chosen.form
    for row in rows:
        assert row["form"] == declared
        assert 0 < row["change_norm"] < row["weight_norm"]


def test_the_norm_of_a_change_is_the_distance_of_the_weights(lake: Path, world: World) -> None:
    store, ids = Lake.open(lake), chain(lake)
    session = ModelSession.load(world.model, "float32", "cpu")
    for before, after in pairwise(ids):
        for row in store.read(after).to_pylist():
            old = session.load_state(store, before).weight(row["layer"]).clone()
            new = session.load_state(store, after).weight(row["layer"])
            assert float((new.double() - old.double()).norm()) == pytest.approx(row["change_norm"], rel=1e-4)


def test_lost_artifacts_are_recomputed_with_the_same_bits(name: str, lake: Path, world: World) -> None:
    """Without the last batch's payloads the run resumes, to the same digests."""
    before, store = tiny_world.digests(lake), Lake.open(lake)
    last = store.manifest(chain(lake)[-1])
    change = str(last.parents["weight_change"])
    lost = [last.id, change, str(last.parents.get("keys", change))]
    for id_ in lost:
        store.discard_payload(id_)
    tiny_world.run_directly(world.spec, lake, *SMALL, *SETTINGS[name])
    assert tiny_world.digests(lake) == before
    assert all(store.fault(id_) is None for id_ in lost)


@pytest.fixture(scope="module")
def plain(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the same facts with plain AlphaEdit."""
    folder = tmp_path_factory.mktemp("plain") / "lake"
    tiny_world.run_directly(world.spec, folder, *SMALL)
    return folder


def test_another_method_gives_another_state(name: str, lake: Path, plain: Path) -> None:
    """Plain AlphaEdit ends in other states, from the same target values of the first batch."""
    here, there = tiny_world.digests(lake), tiny_world.digests(plain)
    values = [m.id for m in tiny_world.artifacts(lake, "target_values")]
    if values and not any("batch_size" in setting for setting in SETTINGS[name]):
        assert any(id_ in there and here[id_] == there[id_] for id_ in values)
    assert not {m.id for m in tiny_world.artifacts(lake, "state")} & set(there)


def test_every_method_has_a_report(name: str, lake: Path) -> None:
    """Plots that do not apply to a method are omitted."""
    store = Lake.open(lake)
    run = next(record.run_id for record in Runs(store.files).all() if record.status == "completed")
    page = read_page(store, report(store, run).id)
    assert ("does not use a null space" in page) == ("null_space" not in NEEDS[name])
    assert ("share of the keys" in page) == ("null_space" in NEEDS[name])


def test_an_anchor_is_the_norm_of_the_base_models_hidden_state(plain: Path, world: World) -> None:
    """Also if the session is in an edited state, whose weights are restored afterwards."""
    store, (base, *_, edited) = Lake.open(plain), chain(plain)
    session = ModelSession.load(world.model, "float32", "cpu")
    spec = load_spec(world.spec, ("edit.anchor=true",)).edit
    facts = [tokenize_fact(session.model.tokenizer, fact, (), "{} is a") for fact in load_requests(world.facts)[:3]]
    asked = [
        TargetValue(f.request.request_id, torch.ones(32) * n, 1, 1, 0, 0, 0, 0, 1, "loss")
        for n, f in enumerate(facts, 1)
    ]
    unedited = reference_norms(session.load_state(store, base), facts, spec.z_layer)
    moved = reference_norms(session.load_state(store, edited), facts, spec.z_layer)
    found = SolverInputs(method("alphaedit"), spec.options, {}).values(session, facts, asked, spec.z_layer)
    norms = torch.stack([value.z for value in found]).double().norm(dim=1)
    assert torch.allclose(norms, unedited, rtol=1e-5)
    assert not torch.allclose(norms, moved, rtol=1e-3)  # control
    assert torch.equal(reference_norms(session.load_state(store, edited), facts, spec.z_layer), moved)
    assert (
        SolverInputs(method("alphaedit"), load_spec(world.spec).edit.options, {}).values(session, facts, asked, 2)
        is asked
    )
