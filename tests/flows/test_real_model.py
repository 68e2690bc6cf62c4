"""The smoke spec on the default model, end to end, and the closed-form update on its keys: the stored change equals
the paper's formula. Needs the downloads of `editflow fetch`; takes about a minute and a half."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from oracle import literal
from support import tiny_world
from support.report_browser import WIDTHS, chromium, go_through, opened
from support.tiny_world import Answer, editflow
from torch import Tensor

from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.tasks.models.model_identity import open_model
from editflow.tasks.stages.moments import read_moments, read_null_space

pytestmark = pytest.mark.real_model

SPEC = Path(__file__).parents[2] / "specs" / "smoke.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("smoke") / "lake"


@pytest.fixture(scope="module")
def answer(folder: Path, server: str) -> Answer:
    return editflow("run", SPEC, "--lake", folder, "--json")


def test_the_facts_are_learned_and_other_knowledge_is_preserved(answer: Answer) -> None:
    assert answer.code == 0, answer.err
    before, after = answer.json["summary"]["before"], answer.json["summary"]["after"]
    assert after["efficacy"]["success"] == 100
    assert after["efficacy"]["accuracy"] >= 90
    assert before["efficacy"]["accuracy"] <= 25  # control: the base model did not answer so
    # There are forty prompts, so one is 2.5 points; the demo allows five points of five hundred prompts.
    assert math.isclose(after["neighbourhood"]["success"], before["neighbourhood"]["success"], abs_tol=10)
    assert after["perplexity"] <= 1.1 * before["perplexity"]


def test_the_edited_model_answers_differently(answer: Answer, folder: Path) -> None:
    """One fact of each batch, asked with its own prompt, from the lake."""
    sql = "SELECT replace(prompt, '{}', subject) AS prompt, target_new FROM edits WHERE position = 0"
    facts = editflow("query", sql, "--json", "--lake", folder).json
    assert len(facts) == 2
    answers = [
        editflow("ask", "smoke", fact["prompt"], "--tokens", "5", "--json", "--lake", folder).json for fact in facts
    ]
    assert all(answer_["base"] != answer_["edited"] for answer_ in answers)
    assert any(fact["target_new"] in answer_["edited"] for fact, answer_ in zip(facts, answers, strict=True))


def test_its_report_shows_the_models_answers(answer: Answer, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert editflow("report", "smoke", "--out", out, "--lake", folder).code == 0
    (manifest,) = tiny_world.artifacts(folder, "answers")
    asked = editflow("query", "SELECT request, target_new FROM edits", "--json", "--lake", folder).json
    wanted = {row["request"]: row["target_new"] for row in asked}
    rows = Lake.open(folder).read(manifest.id).to_pylist()
    assert len(rows) == len(wanted)
    assert sum(wanted[row["request"]] in row["edited"] for row in rows) > len(rows) / 2
    assert sum(wanted[row["request"]] in row["base"] for row in rows) < len(rows) / 2  # control
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, out, *width) as page:
                go_through(page)


def test_a_second_run_reuses_everything_and_loads_nothing(answer: Answer, folder: Path) -> None:
    open_model.cache_clear()
    with tiny_world.counted_loads() as loads:
        again = editflow("run", SPEC, "--lake", folder, "--json")
    assert again.code == 0, again.err
    assert loads == []
    assert {use["how"] for use in again.json["uses"]} == {"reused"}
    assert again.json["summary"] == answer.json["summary"]


def test_the_model_is_loaded_without_the_network(answer: Answer, folder: Path) -> None:
    """Everything comes from the cache of `editflow fetch`, which contains the model's folder."""
    from editflow.tasks.sources.packaged_data import cache

    (model,) = tiny_world.artifacts(folder, "model")
    assert Path(str(model.about["folder"])).is_relative_to(cache().resolve())


@dataclass(frozen=True)
class Edit:
    """One layer of one batch: residuals R (d_out, n) at keys K1 (d_in, n), with Kp the keys of the batch before."""

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
        """The vectors of the rows, as the columns of a matrix."""
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
def smoke(answer: Answer, folder: Path) -> Smoke:
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
    if edit.Kp is not None:  # control: without the first batch's keys
        assert relative(edit.delta, edit.by_the_book(P, forgetful=True)) > 1e-4


def test_the_projector_is_idempotent_and_orthogonal_to_the_corpus_keys(spec: RunSpec, knowledge: Knowledge) -> None:
    P, C0 = knowledge.P, knowledge.C0
    assert spec.null_space.rule == "absolute"
    assert float((P @ P - P).abs().max()) < 1e-10
    assert float((P - P.T).abs().max()) < 1e-10
    assert 0 < round(float(P.trace())) < len(P)
    assert float(torch.linalg.eigvalsh(P @ C0 @ P)[-1]) < spec.null_space.value
    assert float(torch.linalg.eigvalsh(C0)[-1]) > 10 * spec.null_space.value  # control: without P
    assert float((P - literal.projector(C0, spec.null_space.value)).abs().max()) < 1e-6
    assert float((P - literal.projector(C0, 2 * spec.null_space.value)).abs().max()) > 1e-3  # control: another τ


def test_preserved_keys_change_only_without_the_projector(spec: RunSpec, edit: Edit, knowledge: Knowledge) -> None:
    """Over the corpus's keys k, E‖Δk‖² = tr(Δ C0 Δᵀ): the remainder lies in directions below the threshold.

    If all of Δ lies there, it is less than τ‖Δ‖². The control has the same residuals, keys and ridge. Its change is
    smaller for the same effect, and still moves the outputs at the corpus's keys more.
    """
    P, C0, tau = knowledge.P, knowledge.C0, spec.null_space.value
    free = edit.by_the_book(torch.eye(len(P)))
    moved, moved_free = (float(((change @ C0) * change).sum()) for change in (edit.delta, free))
    assert relative(edit.delta @ P, edit.delta) < 1e-10
    assert relative(free @ P, free) > 0.3
    assert 0 < moved < tau * float(edit.delta.norm()) ** 2
    assert moved_free > 2 * tau * float(free.norm()) ** 2
    assert 2 * moved < moved_free
    assert relative(edit.delta @ edit.K1, edit.R) < 0.15  # the facts are still written


@pytest.mark.parametrize("batch", [1, 2])
def test_the_first_layer_writes_its_share_of_the_residual(spec: RunSpec, smoke: Smoke, batch: int) -> None:
    """R = (z* − h) / (layers left), with h and ‖z* − h‖ from when z* was computed."""
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
