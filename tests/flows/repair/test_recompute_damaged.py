"""A damaged or deleted payload is recomputed with the same content, and the run reports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.damage import flip_bit
from support.tiny_world import World

from editflow.storage.artifacts.store import Lake, Manifest

pytestmark = pytest.mark.exhaustive

KINDS = ["evaluation", "target_values", "weight_change", "second_moment", "tokens"]
OTHERS = ["model", "documents", "spectrum", "null_space", "contexts", "state", "perplexity", "requests"]
"""Keys are separate: they are recomputed with their weight change, so one line reports both if both are lost."""

Damage = Callable[[Path], None]


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lineages(lake: Path) -> dict[str, Any]:
    return {m.id: (m.kind, m.version, m.spec, m.parents, m.created_by) for m in Lake.open(lake).manifests()}


def restored(world: World, lake: Path, broken: Sequence[Manifest], reference: Any) -> None:
    """Run again, and check that the payloads are repaired and reported, and that nothing else has changed."""
    family = tiny_world.editflow("lineage", reference.record["state"], "--json", "--lake", lake).json
    before = lineages(lake)
    answer = tiny_world.editflow("run", world.spec, "--lake", lake, "--json")
    assert answer.code == 0, answer.err
    for manifest in broken:
        reports = [line for line in answer.err.splitlines() if manifest.id[:12] in line and "again" in line]
        assert reports, f"{manifest.kind} {manifest.id[:12]} is not reported:\n{answer.err}"
        assert Lake.open(lake).read(manifest.id).num_rows == manifest.rows  # which checks the digest
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)
    assert lineages(lake) == before
    assert tiny_world.editflow("lineage", reference.record["state"], "--json", "--lake", lake).json == family
    record = answer.json
    assert record["state"] == reference.record["state"]
    assert record["summary"] == reference.record["summary"]
    made = {use["artifact"] for use in record["uses"] if use["how"] == "created"}
    assert made == {manifest.id for manifest in broken}


@pytest.mark.exhaustive
@pytest.mark.parametrize("damage", [delete, flip_bit], ids=["deleted", "one byte flipped"])
@pytest.mark.parametrize("kind", [*KINDS, "keys"])
def test_a_damaged_payload_is_recomputed(world: World, reference, copied: Path, kind: str, damage: Damage) -> None:
    broken = tiny_world.artifacts(copied, kind)[-1]
    damage(tiny_world.payload(copied, broken))
    restored(world, copied, [broken], reference)


@pytest.mark.parametrize("damage", [delete, cut, empty])
def test_damaged_payloads_of_every_kind_are_recomputed(world: World, reference, copied: Path, damage: Damage) -> None:
    broken = [tiny_world.artifacts(copied, kind)[-1] for kind in (*KINDS, *OTHERS)]
    for manifest in broken:
        damage(tiny_world.payload(copied, manifest))
        assert Lake.open(copied).find(manifest.id) is None
    restored(world, copied, broken, reference)


def test_all_payloads_of_a_lake_are_recomputed_at_once(world: World, reference, copied: Path) -> None:
    for manifest in Lake.open(copied).manifests():
        delete(tiny_world.payload(copied, manifest))
    tiny_world.run(world.spec, copied)
    assert tiny_world.digests(copied) == tiny_world.digests(reference.lake)
    tiny_world.sound(copied)


def test_keys_lost_with_their_weight_change_are_recomputed(world: World, reference, copied: Path) -> None:
    for kind in ("keys", "weight_change"):
        delete(tiny_world.payload(copied, tiny_world.artifacts(copied, kind)[-1]))
    tiny_world.run(world.spec, copied)
    assert tiny_world.digests(copied) == tiny_world.digests(reference.lake)
    assert all(Lake.open(copied).find(id_) for id_ in tiny_world.digests(copied))


def test_damage_is_found_where_it_is_read(world: World, reference, copied: Path) -> None:
    """A run that reads the damaged payload recomputes it on the way."""
    broken = tiny_world.artifacts(copied, "keys")[0]
    flip_bit(tiny_world.payload(copied, broken))
    answer = tiny_world.editflow("run", world.spec, "--lake", copied, "--set", "requests.count=8")
    assert answer.code == 0, answer.err
    assert "recomputed" in answer.err
    assert Lake.open(copied).read(broken.id).num_rows == broken.rows


def test_an_undamaged_lake_prints_no_repair(world: World, copied: Path) -> None:
    """The control of the tests above."""
    answer = tiny_world.editflow("run", world.spec, "--lake", copied)
    assert answer.code == 0
    assert "again" not in answer.err
    assert "created" not in answer.err
