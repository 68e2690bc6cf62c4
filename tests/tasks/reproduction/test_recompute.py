"""Every artifact of a run can be recomputed from its record, with the same content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import tiny_world
from support.damage import flip_bit
from support.tiny_measurements import everything
from support.tiny_world import World

from editflow.flows.repair.recipe_collector import collect_recipes
from editflow.storage.artifacts.check import check_artifact
from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.errors import MissingPayload, PayloadConflict
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import RunRecord
from editflow.tasks.comparison.comparison_rows import parent_artifacts, recorded_batches
from editflow.tasks.comparison.comparison_stage import compare
from editflow.tasks.report.report_stage import report
from editflow.tasks.reproduction.recipes import PAGES, NotRepeatable, Recipe, recipe_of
from editflow.tasks.reproduction.recompute import recompute, store_recomputed
from editflow.tasks.reproduction.reproduction import Repetition, archive
from editflow.tasks.stages.registry import IMPORTED, STAGES

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, RunRecord]:
    """A run with every measurement, its report and a comparison. Read only."""
    folder = tmp_path_factory.mktemp("made")
    record = tiny_world.record_directly(world.spec, folder / "lake", *everything(folder))
    lake = Lake.open(folder / "lake")
    report(lake, record.run_id)
    row = {"label": "a", "name": "run", "group": "g", "settings": [], "runs": [
        {"seed": None, "name": "run", "batches": recorded_batches(record)}]}  # fmt: skip
    compare(lake, [row], {"run": parent_artifacts(lake, record)})
    return lake, record


def test_every_artifact_is_recomputed_identically(made: tuple[Lake, RunRecord]) -> None:
    lake, record = made
    before = tree(lake)
    given = collect_recipes(lake, record)
    checked, other = set(), {}
    for manifest in sorted(lake.manifests(), key=lambda m: m.created_at):
        stage = str(manifest.spec["stage"])
        try:
            recipe = recipe_of(manifest)
        except NotRepeatable:
            assert stage.replace("-", "_") in IMPORTED
            recipe = given[manifest.id]
        assert recipe.id == manifest.id
        checked.add(stage)
        if recompute(lake, recipe, manifest.environment).digest != manifest.digest:
            other[manifest.id] = stage
    assert other == {}
    assert {*STAGES, *PAGES} - checked == {"trials"}  # which is made by a scan
    assert tree(lake) == before, "nothing is written to the lake"


def tree(lake: Lake) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(lake.uri).rglob("*") if path.is_file()}


@pytest.fixture
def copied(made: tuple[Lake, RunRecord], tmp_path: Path) -> Lake:
    return Lake.open(shutil.copytree(made[0].uri, tmp_path / "lake"))


def newest(lake: Lake, kind: str) -> tuple[Manifest, Recipe]:
    manifest = tiny_world.artifacts(Path(lake.uri), kind)[-1]
    return manifest, recipe_of(manifest)


def test_recomputation_uses_the_recorded_parents(copied: Lake) -> None:
    """The control: it is computed, not read, and from its parents."""
    manifest, recipe = newest(copied, "null_space")
    Path(copied.files.path(copied.manifest(str(manifest.parents["spectrum"])).payload)).unlink()
    with pytest.raises(MissingPayload):
        recompute(copied, recipe, manifest.environment)


def test_a_recomputed_artifact_replaces_a_damaged_one(copied: Lake) -> None:
    manifest, recipe = newest(copied, "null_space")
    payload = tiny_world.payload(Path(copied.uri), manifest)
    flip_bit(payload)
    assert check_artifact(copied, manifest.id)[1] is not None
    store_recomputed(copied, recipe, recompute(copied, recipe, manifest.environment), manifest, None)
    assert check_artifact(copied, manifest.id) == (manifest, None)
    assert len(list(payload.parent.glob("*.discarded-*"))) == 1


@pytest.mark.parametrize("by_manifest", [True, False])
def test_other_content_is_refused(copied: Lake, by_manifest: bool) -> None:
    """An artifact whose content contradicts its manifest or the payload's name is not replaced."""
    manifest, recipe = newest(copied, "null_space")
    _, other = newest(copied, "spectrum")
    folder = Path(copied.files.path(manifest.payload)).parent
    if not by_manifest:
        (folder / "manifest.json").unlink()
    before = tree(copied)
    with pytest.raises(PayloadConflict):
        store_recomputed(
            copied, recipe, recompute(copied, other, manifest.environment), manifest if by_manifest else None, None
        )
    assert tree(copied) == before


def test_the_error_gives_the_reason_if_recomputation_is_impossible(made: tuple[Lake, RunRecord]) -> None:
    lake, record = made
    kept = archive(lake, Repetition(record.run_id, record.state or "", [], []), "2026")
    unknown = Catalog(lake).missing().artifacts
    made_alone = {m.id for m in lake.manifests() if m.kind in {"report", "answers", "reproduction"}}
    assert len(made_alone) == 3
    assert made_alone.isdisjoint(unknown), "artifacts of no run are in the index too"
    with pytest.raises(NotRepeatable, match="no stage of this version makes it"):
        recipe_of(lake.manifest(kept.id))
    shutil.rmtree(Path(lake.files.path(lake.manifest(kept.id).payload)).parent)
    requests = tiny_world.artifacts(Path(lake.uri), "requests")[0]
    with pytest.raises(NotRepeatable, match="given to a run"):
        recipe_of(requests)
    older = tiny_world.artifacts(Path(lake.uri), "spectrum")[0]
    with pytest.raises(NotRepeatable, match="version 1 of its stage made it, and this is 2"):
        first = recipe_id("spectrum", 1, older.spec, older.parents)
        recipe_of(Manifest(**{**vars(older), "version": 1, "id": first}))
