"""Hidden states and their drift as artifacts: fixed prompts, pairing, and SQL views."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.editing.errors import InvalidOption
from editflow.editing.metrics.drift import drift
from editflow.editing.models.hidden_states import hidden_states
from editflow.editing.requests.record import EditRequest
from editflow.storage.artifacts.codec import vectors
from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import query
from editflow.tasks.models.model_identity import open_session
from editflow.tasks.stages.drift import (
    DRIFT,
    DRIFT_POINTS,
    HIDDEN_STATES,
    HiddenStatesSettings,
    fixed_prompts,
    read_drift,
)
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.settings import NoSettings

SETTINGS = HiddenStatesSettings((0, 2), count=9, seed=3)


@pytest.fixture(scope="module")
def edited(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, str]]:
    """The lake of a finished run; the ids of its model, its last state and all its requests."""
    folder = tmp_path_factory.mktemp("drift") / "lake"
    run = tiny_world.record_directly(world.spec, folder)
    lake = Lake.open(folder)
    requests = max((m for m in lake.manifests() if m.kind == "requests"), key=lambda m: m.rows)
    (model,) = (m for m in lake.manifests() if m.kind == "model")
    return lake, {"model": model.id, "state": str(run.state), "requests": requests.id}


def states_of(lake: Lake, ids: dict[str, str], which: str, **changed: Any) -> str:
    return HIDDEN_STATES.perform(
        lake.uri, replace(SETTINGS, **changed), {"state": ids[which], "requests": ids["requests"]}, {}
    ).id


def test_hidden_states_belong_to_the_state_and_the_prompts(edited: tuple[Lake, dict[str, str]]) -> None:
    lake, ids = edited
    prompts = fixed_prompts(read_requests(lake, ids["requests"]), 9, 3)
    assert len(set(prompts)) == 9
    for which in ("model", "state"):
        table = lake.read(states_of(lake, ids, which))
        wanted = hidden_states(open_session(lake, ids[which], "cpu").load_state(lake, ids[which]), prompts, [0, 2])
        assert table["prompt"].to_pylist() == prompts * 2
        assert table["i"].to_pylist() == [*range(9)] * 2
        for n, layer in enumerate((0, 2)):
            assert set(table["layer"][n * 9 : n * 9 + 9].to_pylist()) == {layer}
            found = vectors(table["vector"].slice(n * 9, 9))
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, wanted[layer].float().numpy())


def test_drift_is_computed_for_each_layer(edited: tuple[Lake, dict[str, str]]) -> None:
    lake, ids = edited
    pair = {"base": states_of(lake, ids, "model"), "edited": states_of(lake, ids, "state")}
    ref, points = (
        DRIFT.perform(lake.uri, NoSettings(), pair, {}),
        DRIFT_POINTS.perform(lake.uri, NoSettings(), pair, {}),
    )
    found = read_drift(lake, ref.id)
    assert list(found) == [0, 2]
    for n, layer in enumerate(found):
        base, moved = (vectors(lake.read(pair[role])["vector"].slice(n * 9, 9)).astype(float) for role in pair)
        assert found[layer] == drift(base, moved)
        assert found[layer]["paired_distance"] > 0
    rows = lake.read(points.id).to_pylist()
    assert [(row["layer"], row["cloud"]) for row in rows[::9]] == [
        (0, "base"),
        (0, "edited"),
        (2, "base"),
        (2, "edited"),
    ]
    for layer in found:
        x = [row["x"] for row in rows if row["layer"] == layer and row["cloud"] == "base"]
        assert np.mean(x) == pytest.approx(0, abs=1e-9)  # the base's mean is the origin

    asked = query(lake, "SELECT DISTINCT state, base, requests, artifact FROM drifts").to_pylist()
    assert asked == [{"state": ids["state"], "base": ids["model"], "requests": ids["requests"], "artifact": ref.id}]
    shift = query(lake, "SELECT value FROM drifts WHERE layer = 2 AND metric = 'mean_shift'").to_pylist()
    assert shift == [{"value": found[2]["mean_shift"]}]
    asked = query(lake, "SELECT state, base, count(*) AS n FROM drift_points GROUP BY ALL").to_pylist()
    assert asked == [{"state": ids["state"], "base": ids["model"], "n": 36}]


def test_drift_from_a_state_to_itself_is_zero(edited: tuple[Lake, dict[str, str]]) -> None:
    lake, ids = edited
    state = states_of(lake, ids, "state")
    for found in read_drift(
        lake, DRIFT.perform(lake.uri, NoSettings(), {"base": state, "edited": state}, {}).id
    ).values():
        assert found["paired_distance"] == found["hausdorff_distance"] == 0
        assert found["overlap_x"] == pytest.approx(1)


def test_hidden_states_of_different_prompts_are_refused(edited: tuple[Lake, dict[str, str]]) -> None:
    lake, ids = edited
    base = states_of(lake, ids, "model")
    for changed in ({"seed": 4}, {"count": 8}, {"layers": [0, 1]}):
        with pytest.raises(InvalidOption, match="different prompts or layers"):
            DRIFT.perform(
                lake.uri, NoSettings(), {"base": base, "edited": states_of(lake, ids, "state", **changed)}, {}
            )


def test_too_few_prompts_are_refused(edited: tuple[Lake, dict[str, str]]) -> None:
    lake, ids = edited
    with pytest.raises(InvalidOption, match="2 neighbourhood prompts"):
        states_of(lake, ids, "state", count=2)


def test_ids_do_not_change() -> None:
    a, b = "a" * 64, "b" * 64
    found = [
        HIDDEN_STATES.id(HiddenStatesSettings((4, 5), 1000, 0), {"state": a, "requests": b}),
        DRIFT.id(NoSettings(), {"base": a, "edited": b}),
        DRIFT_POINTS.id(NoSettings(), {"base": a, "edited": b}),
    ]
    assert [id_[:16] for id_ in found] == ["42b0d6b8a4519ec1", "9c993fa583567c86", "f04d9d5bde111768"]


def request(name: str, *neighbours: str, paraphrases: tuple[str, ...] = ()) -> EditRequest:
    return EditRequest(name, "{} speaks", name, "Italian", "French", "", paraphrases, neighbours)


def test_prompts_are_neighbours_that_are_not_edited() -> None:
    requests = [
        request("Anna", "Karl speaks", "Omar speaks", "Lucia speaks"),
        request("Karl", "Omar speaks", "in Nice they say", paraphrases=("Lucia speaks",)),
    ]
    assert set(fixed_prompts(requests, 10, 0)) == {"Omar speaks", "in Nice they say"}
    assert fixed_prompts([request("Anna")], 10, 0) == []


def test_order_does_not_matter_and_a_larger_sample_extends_a_smaller_one() -> None:
    requests = [request(f"s{n}", *(f"n{n} {k} speaks" for k in range(3))) for n in range(20)]
    whole = fixed_prompts(requests, 60, 1)
    assert len(whole) == 60
    assert fixed_prompts(requests[::-1], 25, 1) == whole[:25]
    assert fixed_prompts(requests, 60, 2) != whole
    assert fixed_prompts(requests, 60, 2) != sorted(whole)
