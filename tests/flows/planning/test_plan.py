"""`editflow plan` predicts what a run does: the same ids, the same reuse, about the same bytes. It writes
nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import method_settings, tiny_world
from support.error_checks import refused
from support.tiny_measurements import everything
from support.tiny_world import World, editflow
from transformers import BertConfig, GPT2Config

from editflow.editing.editors.methods import METHODS
from editflow.flows.pipeline.facts import load_facts
from editflow.flows.planning.cost_table import COSTS
from editflow.flows.planning.dry_run import DryRun
from editflow.flows.planning.plan import dry_run, open_readonly
from editflow.flows.planning.workload import MOMENT
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake
from editflow.tasks.models.meta_model import meta_model
from editflow.tasks.models.model_identity import identify

pytestmark = pytest.mark.slow

SETTINGS = {"alphaedit": (), **method_settings.SETTINGS}
MODEL_FREE = {"documents", "requests", "questions", "ability-cases"}


@dataclass(frozen=True)
class Shelf:
    """A lake that at first has only the model pinned, and the specs that are planned and run in it."""

    world: World
    folder: Path

    def walked(self, settings: Sequence[str]) -> DryRun:
        spec, lake = load_spec(self.world.spec, (*method_settings.SMALL, *settings)), open_readonly(str(self.folder))
        model = meta_model(lake, spec.model.source, spec.model.dtype)
        return dry_run(spec, lake, model, load_facts(spec.requests))

    def run(self, settings: Sequence[str]) -> Any:
        return tiny_world.record_directly(self.world.spec, self.folder, *method_settings.SMALL, *settings)


@pytest.fixture(scope="module")
def shelf(world: World, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("planned") / "lake"
    lake = Lake.open(folder)
    identify(lake, str(world.model), "float32", "cpu", None, lake.find)
    return Shelf(world, folder)


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_creates_and_reuses_what_its_plan_lists_in_about_as_many_bytes(shelf: Shelf, name: str) -> None:
    settings = SETTINGS[name]
    before = files(shelf.folder)
    planned = shelf.walked(settings)
    assert files(shelf.folder) == before
    uses = shelf.run(settings).uses
    assert [(use.artifact, use.stage, use.how == "reused") for use in uses] == [
        (piece.id, piece.label, piece.reused) for piece in planned.planned.values()
    ]
    again = shelf.walked(settings)
    assert list(again.planned) == list(planned.planned)
    assert all(piece.reused for piece in again.planned.values())
    other = shelf.walked((*settings, "contexts.seed=5", "requests.seed=5"))  # control
    assert not all(piece.reused for piece in other.planned.values())
    assert about_the_same(planned, again, 1.5)
    assert not about_the_same(planned, again, 1.01)  # control: the plan is computed, not read from the lake


def test_every_measurement_is_planned(shelf: Shelf, tmp_path: Path) -> None:
    settings = ("evaluation.perplexity=true", *everything(tmp_path))
    planned = shelf.walked(settings)
    assert {piece.stage for piece in planned.planned.values()} >= {*COSTS, "requests", "questions", "ability-cases"}
    made = [(use.artifact, use.how == "reused") for use in shelf.run(settings).uses]
    assert made == [(piece.id, piece.reused) for piece in planned.planned.values()]
    rows = shelf.walked(settings)
    for name in ("evaluation", "hidden-states", "ability", "keys", "target-values"):
        planned_rows, actual_rows = (counted(walk_, name) for walk_ in (planned, rows))
        assert planned_rows == pytest.approx(actual_rows, rel=0.5), name


def counted(walked: DryRun, stage: str) -> float:
    """The number of rows of all artifacts of a stage."""
    return sum(walked.rows[id_] for id_, piece in walked.planned.items() if piece.stage == stage)


def about_the_same(planned: DryRun, found: DryRun, factor: float) -> bool:
    """Whether the planned bytes of every kind of matrix are about those in the lake after the run."""
    for stage in ("second-moment", "merge-moments", "spectrum", "null-space", "weight-change", "keys", "checkpoint"):
        expected = sum(piece.size.bytes for piece in planned.planned.values() if piece.stage == stage)
        actual = sum(piece.bytes for piece in found.planned.values() if piece.stage == stage)
        if (expected or actual) and not actual / factor <= expected <= actual * factor:
            return False
    return True


def test_every_method_is_planned() -> None:
    named = [setting.removeprefix("edit.method=") for settings in SETTINGS.values() for setting in settings]
    assert set(METHODS) <= {*named, "alphaedit"}


def test_no_lake_is_created_and_ids_that_depend_on_an_unread_model_are_unknown(world: World, tmp_path: Path) -> None:
    answer = editflow("plan", world.spec, "--json", "--lake", tmp_path / "none")
    assert answer.code == 0, answer.err
    assert not (tmp_path / "none").exists()
    plan = answer.json
    assert {row["stage"] for row in plan["artifacts"] if row["id"]} <= MODEL_FREE
    assert {row["stage"] for row in plan["artifacts"] if not row["id"]}.isdisjoint(MODEL_FREE)
    assert (plan["reused"], plan["to_compute"]) == (0, len(plan["artifacts"]))
    assert sum(row["artifacts"] for row in plan["stages"]) == len(plan["artifacts"])
    assert plan["bytes"] == sum(row["bytes"] for row in plan["stages"])
    assert [(row["d_out"], row["d_in"]) for row in plan["layers"]] == [(32, 64)] * 3
    assert any("never read" in text for text in plan["warnings"])


def test_seeds_are_planned_together_and_share_artifacts(world: World, shelf: Shelf) -> None:
    one = editflow("plan", world.spec, "--json", "--lake", shelf.folder).json
    two = editflow("plan", world.spec, "--json", "--lake", shelf.folder, "--set", "seeds=[0,1]").json
    counts = [{row["stage"]: row["artifacts"] for row in plan["stages"]} for plan in (one, two)]
    assert counts[1]["spectrum"] == counts[0]["spectrum"]
    assert counts[1]["state"] == 2 * counts[0]["state"]
    assert any(row["label"].startswith("tiny-1: state") for row in two["artifacts"])


def config_only(folder: Path, config: Any) -> Path:
    config.save_pretrained(folder)
    return folder


def test_a_configuration_is_enough_and_many_partitions_of_wide_moments_give_a_warning(
    world: World, tmp_path: Path
) -> None:
    wide = config_only(tmp_path / "wide", GPT2Config(n_embd=1600, n_layer=3, n_head=25))
    ask = ("plan", world.spec, "--json", "--lake", tmp_path / "lake", "--set", f"model.source={wide}", "--set")
    many, few = editflow(*ask, "corpus.partitions=50"), editflow(*ask, "corpus.partitions=5")
    assert many.code == few.code == 0, many.err + few.err
    sizes = [row["bytes"] for row in many.json["stages"] if row["stage"] == "second-moment"]
    assert sizes[0] == pytest.approx(50 * 3 * 6400 * 6401 / 2 * MOMENT, rel=0.01)
    assert any("corpus.partitions = 50" in text and "20.0 GB" in text for text in many.json["warnings"])
    assert not any("partitions" in text for text in few.json["warnings"])  # control
    assert any("no *.safetensors" in text for text in few.json["warnings"])
    assert many.json["layers"][0]["tensor"] == "transformer.h.0.mlp.c_proj.weight"
    assert (many.json["layers"][0]["d_out"], many.json["layers"][0]["d_in"]) == (1600, 6400)


def test_an_invalid_plan_is_refused_in_one_line(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = tmp_path / "lake"
    where = ("--lake", lake)
    refused(editflow("plan", tmp_path / "none.toml", *where), "no spec", "none.toml")
    refused(editflow("plan", world.spec, "--set", "edit.layer=[1]", *where), "unknown key 'edit.layer'", "layers")
    bert = config_only(tmp_path / "bert", BertConfig())
    refused(editflow("plan", world.spec, "--set", f"model.source={bert}", *where), "'bert' has no declaration")
    deep = ("--set", "edit.layers=[1,9]", "--set", "edit.z_layer=9")
    refused(editflow("plan", world.spec, *deep, *where), "[9] out of range", "0…3")
    refused(editflow("plan", world.spec, "--set", "corpus.window=1000", *where), "corpus.window = 1000", "256")
    refused(editflow("plan", world.spec, "--set", "null_space.value=0.001", *where), "null_space.value", "none of 64")
    refused(editflow("plan", world.spec, "--set", "model.device=banana", *where), "'banana' is not a device", "cuda")
    few = ("--set", "edit.method=memit", "--set", "corpus.tokens=60")
    refused(editflow("plan", world.spec, *few, *where), "corpus.tokens = 60", "singular", "640 or more", "edit.ridge")
    assert editflow("plan", world.spec, *few, "--set", "edit.ridge=1", *where).code == 0  # control
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(editflow("plan", world.spec, "--set", f"model.source={empty}", *where), "no config.json")
    (empty / "config.json").write_text("{")
    refused(editflow("plan", world.spec, "--set", f"model.source={empty}", *where), "config.json", "JSON")
    refused(editflow("plan", world.spec, "--set", "model.source=smollm", *where), "no model 'smollm'")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(editflow("plan", world.spec, "--set", "model.source=org/none", *where), "no folder 'org/none'", "network")
    refused(editflow("plan", world.spec, "--lake", world.facts), "is a file", "--lake")
    assert not lake.exists()


def test_a_plan_prints_tables_and_the_next_command(world: World, shelf: Shelf) -> None:
    answer = editflow("plan", world.spec, "--set", "edit.ridge=2", "--lake", shelf.folder)
    assert answer.code == 0, answer.err
    assert "model.layers.2.mlp.down_proj.weight" in answer.out
    assert "memory:" in answer.err
    assert f"editflow run {world.spec} --set edit.ridge=2 --lake {shelf.folder}" in answer.err.splitlines()[-1]
    timed = json.loads(editflow("plan", world.spec, "--set", "edit.ridge=2", "--lake", shelf.folder, "--json").out)
    assert "recorded in this lake" in timed["basis"]


@pytest.mark.exhaustive
def test_the_plan_of_a_comparison_counts_shared_artifacts_once(world: World, shelf: Shelf) -> None:
    spec = world.folder / "compared-plan.toml"
    variants = "".join(f'\n[[variants]]\nname = "{name}"\nedit.method = "{name}"' for name in ("alphaedit", "memit"))
    spec.write_text(world.spec.read_text(encoding="utf-8") + variants, encoding="utf-8")
    command = ("plan", spec, "--set", "corpus.partitions=1", "--lake", shelf.folder)
    first, second = editflow(*command, "--json").json["variants"]
    alone = editflow("plan", world.spec, "--set", "corpus.partitions=1", "--lake", shelf.folder, "--json").json
    assert (first["reused"], first["to_compute"]) == (alone["reused"], alone["to_compute"])
    to_compute = {row["stage"]: row["to compute"] for row in second["stages"]}
    assert to_compute["second-moment"] == to_compute["documents"] == 0
    assert to_compute["weight-change"] == 3, "the control: no two methods share their changes"
    made = {row["id"] for row in first["artifacts"]}
    assert all(row["reused"] or row["id"] not in made for row in second["artifacts"])
    answer = editflow(*command)
    assert answer.code == 0, answer.err
    assert "alphaedit" in answer.out and "all" in answer.out
    assert f"editflow compare {spec} --set corpus.partitions=1 --lake {shelf.folder}" in answer.err.splitlines()[-1]
    wrong = editflow(*command, "--set", "edit.layers=[0,9]", "--set", "edit.z_layer=9")
    refused(wrong, str(spec), "'tiny-alphaedit'", "out of range")
