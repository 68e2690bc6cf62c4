"""Every state in the lake reproduces the weights that the edit produced, in any order of loading."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_world
from support.damage import flip_bit
from support.tiny_world import World
from torch import Tensor

import editflow.tasks.stages.edits
from editflow.storage.artifacts.identity import table_digest
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload, MissingPayload
from editflow.tasks.errors import StateMismatch
from editflow.tasks.models.model_session import ModelSession, change_id, checkpoint_id, read_changes, state_chain

pytestmark = pytest.mark.slow

PROBE = torch.arange(1, 25).reshape(2, 12)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    found: Tensor = model.model(PROBE).logits
    return found.clone()


@dataclass(frozen=True)
class Edited:
    """A lake, the ids of its chain from the model on, and the logits of the model after each batch."""

    folder: Path
    chain: list[str]
    logits: list[Tensor]

    @property
    def lake(self) -> Lake:
        return Lake.open(self.folder)


@pytest.fixture(
    scope="module",
    params=[2, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (10, 1))],
    ids="checkpoint every {}".format,
)
def edited(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Edited:
    """A run of three batches; logits are recorded within the block of `edit_batch`, before the weights are restored."""
    folder = tmp_path_factory.mktemp("chain") / "lake"
    seen: list[Tensor] = []
    real = editflow.tasks.stages.edits.edit_batch

    def recording(model: Any, *args: Any) -> Any:
        if not seen:
            seen.append(logits(model))
        edits = real(model, *args)
        seen.append(logits(model))
        return edits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editflow.tasks.stages.edits, "edit_batch", recording)
        summary = tiny_world.run_directly(world.spec, folder, f"edit.checkpoint_every={request.param}")
    chain = [link.id for link in state_chain(Lake.open(folder), summary["state"])]
    assert len(chain) == len(seen) == 4
    return Edited(folder, chain, seen)


@pytest.fixture
def session(world: World) -> ModelSession:
    """A newly loaded model."""
    return ModelSession.load(world.model, "float32", "cpu")


@pytest.mark.parametrize("place", range(4))
def test_a_state_has_the_bits_of_the_edited_model(edited: Edited, session: ModelSession, place: int) -> None:
    assert torch.equal(logits(session.load_state(edited.lake, edited.chain[place])), edited.logits[place])


def test_the_states_differ(edited: Edited) -> None:
    """So their equality in other tests is not trivial."""
    for place in range(3):
        assert not torch.equal(edited.logits[place], edited.logits[place + 1])


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 3, 1, 1, 2]], ids=str)
def test_any_order_of_loading_gives_the_same_bits(edited: Edited, session: ModelSession, order: list[int]) -> None:
    for place in order:
        assert torch.equal(logits(session.load_state(edited.lake, edited.chain[place])), edited.logits[place])
    assert torch.equal(logits(session.load_base()), edited.logits[0])


def test_borrowing_restores_all_weights_even_after_an_error(edited: Edited, session: ModelSession) -> None:
    session.load_state(edited.lake, edited.chain[2])
    with pytest.raises(ZeroDivisionError), session.borrow([0, 3]) as model:
        model.weight(0).zero_()
        model.weight(3).zero_()
        assert not torch.equal(logits(model), edited.logits[2])
        raise ZeroDivisionError
    assert session.state == edited.chain[2]
    assert torch.equal(logits(session.model), edited.logits[2])
    assert torch.equal(logits(session.load_state(edited.lake, edited.chain[0])), edited.logits[0])


def test_the_change_of_a_link_is_the_difference_of_the_weights(
    edited: Edited, world: World, session: ModelSession
) -> None:
    """W₀ + Δ₁, summed in float64 and rounded once, is the weight of the first state."""
    first = edited.lake.manifest(edited.chain[1])
    changes = read_changes(edited.lake, str(first.parents["weight_change"]))
    for layer, change in changes.items():
        W = session.model.weight(layer).clone()
        dense = torch.einsum("or,ir->oi", change.left, change.right)
        torch.testing.assert_close(
            (W.double() + dense).float(), session.load_state(edited.lake, first.id).weight(layer), rtol=1e-6, atol=1e-7
        )
        assert float(dense.norm()) > 1e-3
        session.load_base()


@pytest.fixture
def tampered(edited: Edited, tmp_path: Path) -> Iterator[tuple[Lake, str]]:
    """A copy of the lake, to be tampered with, and the id of the change that its last state applies."""
    lake = Lake.open(shutil.copytree(edited.folder, tmp_path / "lake"))
    yield lake, change_id(lake, lake.manifest(edited.chain[-1]))


def forge(lake: Lake, id_: str) -> None:
    """Change one number of a stored change, and all digests of it."""
    import pyarrow as pa

    manifest, table = lake.manifest(id_), lake.read(id_)
    rows = table["row"].to_pylist()
    rows[0][0] += 1.0
    table = table.set_column(table.schema.get_field_index("row"), "row", pa.array(rows, table.schema.field("row").type))
    lake.files.remove(manifest.payload)
    forged = asdict(manifest) | {"digest": table_digest(table)}
    payload = type(manifest)(**forged).payload
    size, sha256 = lake.files.write_parquet(payload, table)
    place = Path(lake.uri) / payload
    (place.parent / "manifest.json").write_text(json.dumps(forged | {"bytes": size, "sha256": sha256}))


def test_a_forged_change_is_detected(edited: Edited, session: ModelSession, tampered: tuple[Lake, str]) -> None:
    lake, change = tampered
    forge(lake, change)
    with pytest.raises(StateMismatch, match="layer 0"):
        session.load_state(lake, edited.chain[-1])
    # The model has no recorded state afterwards, and earlier links are intact.
    assert session.state is None
    assert torch.equal(logits(session.load_state(lake, edited.chain[-2])), edited.logits[-2])


def test_a_damaged_change_is_detected(edited: Edited, session: ModelSession, tampered: tuple[Lake, str]) -> None:
    lake, change = tampered
    session.load_state(lake, edited.chain[-1])  # undamaged it loads
    session.load_base()
    flip_bit(Path(lake.uri) / lake.manifest(change).payload)
    with pytest.raises(DamagedPayload) as caught:
        session.load_state(lake, edited.chain[-1])
    assert caught.value.id == change
    assert session.state is None
    assert torch.equal(logits(session.load_state(lake, edited.chain[-2])), edited.logits[-2])


def test_a_state_without_its_payload_is_refused(
    edited: Edited, session: ModelSession, tampered: tuple[Lake, str]
) -> None:
    """Without its payload there are no digests to compare its weights with."""
    lake, _ = tampered
    lake.discard_payload(edited.chain[-1])
    with pytest.raises(MissingPayload):
        session.load_state(lake, edited.chain[-1])


def test_changes_before_a_checkpoint_are_not_read(
    edited: Edited, session: ModelSession, tampered: tuple[Lake, str]
) -> None:
    lake, _ = tampered
    chain = state_chain(lake, edited.chain[-1])
    kept = [n for n, link in enumerate(chain) if n and lake.find(checkpoint_id(link))]
    for link in chain[1 : kept[-1] if kept else 2]:
        lake.discard_payload(change_id(lake, link))
    if kept:
        assert torch.equal(logits(session.load_state(lake, edited.chain[-1])), edited.logits[-1])
    else:  # without checkpoints the first change is needed
        with pytest.raises(MissingPayload):
            session.load_state(lake, edited.chain[-1])


def test_a_lost_checkpoint_costs_only_time(edited: Edited, session: ModelSession, tampered: tuple[Lake, str]) -> None:
    lake, _ = tampered
    for link in state_chain(lake, edited.chain[-1])[1:]:
        if lake.find(checkpoint_id(link)):
            lake.discard_payload(checkpoint_id(link))
    for place in (3, 1, 2):
        assert torch.equal(logits(session.load_state(lake, edited.chain[place])), edited.logits[place])


def test_checkpoints_change_no_id(edited: Edited, world: World, tmp_path: Path) -> None:
    """No id or digest depends on the frequency of checkpoints."""
    tiny_world.run_directly(world.spec, tmp_path / "lake", "edit.checkpoint_every=3")
    checkpoints = {checkpoint_id(link) for link in state_chain(edited.lake, edited.chain[-1])[1:]}
    here, there = tiny_world.digests(edited.folder), tiny_world.digests(tmp_path / "lake")
    assert here.keys() ^ there.keys() <= checkpoints
    assert all(here[id_] == there[id_] for id_ in here.keys() & there.keys())
