"""The closed-form update on a real model's keys: what the smoke run archived equals the paper's formula."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from oracle import literal
from tiny_world import editflow
from torch import Tensor

from flows.spec import RunSpec, load_spec
from storage.store import Lake, Manifest
from tasks.moments import read_moments, read_null_space

pytestmark = pytest.mark.real_model

SPEC = Path(__file__).parents[2] / "specs" / "smoke.toml"


@dataclass(frozen=True)
class Edit:
    """One layer's part of one batch: residuals R (d_out, n) at keys K1 (d_in, n), with Kp those of the batch before."""

    R: Tensor
    K1: Tensor
    Kp: Tensor | None
    delta: Tensor
    ridge: float

    def by_the_book(self, P: Tensor, *, forgetful: bool = False) -> Tensor:
        return literal.alphaedit_delta(self.R, self.K1, None if forgetful else self.Kp, P, self.ridge)


@dataclass(frozen=True)
class Knowledge:
    """What one layer must preserve: the projector and the mean second moment of the corpus's keys."""

    P: Tensor
    C0: Tensor


@dataclass(frozen=True)
class Smoke:
    """A lake with the finished smoke run, and the states after its batches."""

    lake: Lake
    states: list[Manifest]

    def change(self, batch: int) -> Manifest:
        return self.lake.manifest(str(self.states[batch - 1].parents["weight_change"]))

    def rows(self, id_: Any, **wanted: object) -> list[dict[str, Any]]:
        rows = self.lake.read(str(id_)).to_pylist()
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    def columns(self, id_: Any, name: str, **wanted: object) -> Tensor:
        """One vector a row, as the columns of a matrix."""
        return torch.tensor([row[name] for row in self.rows(id_, **wanted)], dtype=torch.float64).T

    def keys(self, batch: int, layer: int) -> Tensor:
        return self.columns(self.states[batch - 1].parents["keys"], "key", layer=layer)

    def edit(self, batch: int, layer: int) -> Edit:
        change = self.change(batch)
        left, right = (self.columns(change.id, "row", layer=layer, factor=side) for side in ("left", "right"))
        earlier = self.keys(batch - 1, layer) if batch > 1 else None
        return Edit(left, self.keys(batch, layer), earlier, left @ right.T, change.spec["ridge"])

    def knowledge(self, layer: int) -> Knowledge:
        """From the layer's null space, and the moments behind its spectrum."""
        for id_ in self.change(1).parents["null_space"]:
            found, space = read_null_space(self.lake, id_)
            if found == layer:
                spectrum = self.lake.manifest(str(self.lake.manifest(id_).parents["spectrum"]))
                moments = read_moments(self.lake, str(spectrum.parents["second_moment"]))
                return Knowledge(space.matrix(), moments[layer].mean())
        raise AssertionError(f"no null space of layer {layer}")


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    return load_spec(SPEC)


@pytest.fixture(scope="module")
def smoke(server: str, tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """test_smoke_real uses the same folder: whichever comes second finds everything there and computes nothing."""
    folder = tmp_path_factory.getbasetemp() / "smoke-lake"
    answer = editflow("run", SPEC, "--lake", folder, "--json")
    assert answer.code == 0, answer.err
    lake = Lake.open(folder)
    states = [lake.manifest(batch["state"]) for batch in answer.json["summary"]["batches"]]
    assert len(states) == 2
    return Smoke(lake, states)


@pytest.fixture(scope="module", params=[4, 8], ids="layer {}".format)
def layer(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def knowledge(smoke: Smoke, layer: int) -> Knowledge:
    return smoke.knowledge(layer)


@pytest.fixture(params=[1, 2], ids="batch {}".format)
def edit(request: pytest.FixtureRequest, smoke: Smoke, layer: int) -> Edit:
    return smoke.edit(request.param, layer)


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def test_the_change_is_the_papers(edit: Edit, knowledge: Knowledge) -> None:
    P = knowledge.P
    assert relative(edit.delta, edit.by_the_book(P)) < 1e-9
    assert relative(edit.delta, edit.by_the_book(torch.eye(len(P)))) > 0.01  # control: no projector
    if edit.Kp is not None:  # control: the first batch's keys forgotten
        assert relative(edit.delta, edit.by_the_book(P, forgetful=True)) > 1e-4


def test_the_projector_is_one_and_keeps_off_what_the_corpus_uses(spec: RunSpec, knowledge: Knowledge) -> None:
    P, C0 = knowledge.P, knowledge.C0
    assert spec.null_space.rule == "absolute"
    assert float((P @ P - P).abs().max()) < 1e-10
    assert float((P - P.T).abs().max()) < 1e-10
    assert 0 < round(float(P.trace())) < len(P)
    assert float(torch.linalg.eigvalsh(P @ C0 @ P)[-1]) < spec.null_space.value
    assert float(torch.linalg.eigvalsh(C0)[-1]) > 10 * spec.null_space.value  # control: without P
    assert float((P - literal.projector(C0, spec.null_space.value)).abs().max()) < 1e-6
    assert float((P - literal.projector(C0, 2 * spec.null_space.value)).abs().max()) > 1e-3  # control: another τ


def test_preserved_keys_stay_and_move_without_the_projector(spec: RunSpec, edit: Edit, knowledge: Knowledge) -> None:
    """Over the corpus's keys k, E‖Δk‖² = tr(Δ C0 Δᵀ): what is left of it lies in directions under the threshold.

    With all of Δ there, it is less than τ‖Δ‖². The control has the same residuals, keys and ridge; it needs a smaller
    change to say the same, and still moves the corpus's keys more.
    """
    P, C0, tau = knowledge.P, knowledge.C0, spec.null_space.value
    free = edit.by_the_book(torch.eye(len(P)))
    moved, moved_free = (float(((change @ C0) * change).sum()) for change in (edit.delta, free))
    assert relative(edit.delta @ P, edit.delta) < 1e-10
    assert relative(free @ P, free) > 0.3
    assert 0 < moved < tau * float(edit.delta.norm()) ** 2
    assert moved_free > 2 * tau * float(free.norm()) ** 2
    assert 2 * moved < moved_free
    assert relative(edit.delta @ edit.K1, edit.R) < 0.15  # and yet the facts are written


@pytest.mark.parametrize("batch", [1, 2])
def test_the_first_layer_takes_its_share_of_what_the_target_values_ask(spec: RunSpec, smoke: Smoke, batch: int) -> None:
    """R = (z* − h) / (layers left), with h and ‖z* − h‖ as they were when z* was found."""
    change = smoke.change(batch)
    values = [row for id_ in change.parents["target_values"] for row in smoke.rows(id_)]
    written = smoke.rows(smoke.states[batch - 1].parents["keys"], layer=spec.edit.layers[0])
    assert [row["request"] for row in written] == [row["request"] for row in values]
    asked = smoke.edit(batch, spec.edit.layers[0]).R * len(spec.edit.layers)
    z = torch.tensor([row["z"] for row in values], dtype=torch.float64).T
    for name, found in {"delta_norm": asked.norm(dim=0), "h_norm": (z - asked).norm(dim=0)}.items():
        torch.testing.assert_close(
            found, torch.tensor([row[name] for row in values], dtype=torch.float64), rtol=1e-3, atol=0
        )
    last = smoke.edit(batch, spec.edit.layers[-1]).R
    assert relative(last, asked) > 0.05  # control: by the last layer, the layers before it have done their part
