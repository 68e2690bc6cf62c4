"""Numbers of every stage on a tiny model in float64, pinned to the stage's version.

A stage that gives other numbers for the same recipe must raise its `Stage.version`, or lakes would keep returning
the old ones. After raising it, `EDITFLOW_RENEW_GOLDEN=1 pytest tests/tasks/stages/test_golden.py` writes the new
numbers down.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import tiny_world
from support.tiny_measurements import everything
from support.tiny_world import World

import editflow.tasks.models.model_identity
import editflow.tasks.stages.edits
from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.store import Lake, Manifest

GOLDEN = Path(__file__).with_name("golden.json")
RENEW = "EDITFLOW_RENEW_GOLDEN"
TOLERANCE = 1e-4
"""Relative tolerance. Other libraries and machines change the last of 16 digits; eight Adam steps amplify that."""

Golden = dict[str, dict[str, Any]]


def collect(lake: Path) -> Golden:
    """{stage: {version, numbers}} of all artifacts of a lake, independent of the order of their creation."""
    store = Lake.open(lake)
    found: Golden = {}
    for manifest in sorted(store.manifests(), key=lambda m: json.dumps([m.spec.get("stage"), key(m)])):
        name = str(manifest.spec["stage"])
        stage = found.setdefault(name, {"version": manifest.version, "ids": [], "numbers": {}})
        stage["ids"] = sorted({*stage["ids"], stand_in_id(manifest)})
        for number, value in numbers(store.read(manifest.id)).items():
            stage["numbers"].setdefault(number, []).append(value)
    return found


def stand_in_id(manifest: Manifest) -> str:
    """The id that the recipe has with made-up parents: it depends only on the spec, its keys and the roles."""
    made_up = {role: "a" * 64 if isinstance(p, str) else ["a" * 64] * len(p) for role, p in manifest.parents.items()}
    return recipe_id(manifest.kind, manifest.version, manifest.spec, made_up)[:16]


def key(manifest: Manifest) -> list[Any]:
    """A key that distinguishes the artifacts of a stage without ids."""
    spec = {name: manifest.spec[name] for name in ("layer", "split", "partition", "metrics") if name in manifest.spec}
    return [spec, manifest.created_at]


def numbers(table: pa.Table) -> dict[str, float]:
    """A few numbers that change with the table, but not with the sign or rotation of eigenvectors.

    Of numeric columns the sum of squares; of texts the total length; and the number of rows.
    """
    found: dict[str, float] = {"rows": table.num_rows}
    for name in table.column_names:
        column = table[name].combine_chunks()
        while pa.types.is_list(column.type):
            column = column.flatten()
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            values = column.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
            found[name] = float(f"{math.fsum(values**2):.6g}")
        elif pa.types.is_string(column.type) and not name.endswith("digest"):
            found[name] = sum(len(text) for text in column.to_pylist() if text is not None)
    return found


def differences(golden: Golden, found: Golden) -> list[str]:
    """One line per stage whose numbers differ from the recorded ones of its version, with the remedy."""
    lines = [f"stage {name!r} is gone: renew with {RENEW}=1" for name in sorted(set(golden) - set(found))]
    for name, stage in sorted(found.items()):
        if name not in golden:
            lines.append(f"stage {name!r} is new: renew with {RENEW}=1")
            continue
        old, version = golden[name], stage["version"]
        if version != old["version"]:
            lines.append(f"stage {name!r} went from version {old['version']} to {version}: renew with {RENEW}=1")
            continue
        # A model's recipe has the digests of its files, and libraries write different tokenizer files.
        if name != "model" and stage["ids"] != old.get("ids"):
            lines.append(
                f"stage {name!r} has other ids than before: lakes would be recomputed; if this is meant, raise its "
                f"version, or leave the new field out of the recipe while it has its default; then renew with {RENEW}=1"
            )
            continue
        moved = [
            f"{number} was {old['numbers'].get(number)}, is {values}"
            for number, values in stage["numbers"].items()
            if not close(old["numbers"].get(number), values)
        ]
        if moved:
            lines.append(
                f"stage {name!r} gives other numbers than version {version} did ({'; '.join(moved)}): raise its "
                f"version in tasks/ if this is meant, then renew with {RENEW}=1"
            )
    return lines


def close(old: list[float] | None, new: list[float]) -> bool:
    return old is not None and len(old) == len(new) and bool(np.allclose(old, new, rtol=TOLERANCE, atol=1e-9))


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Golden]:
    def run_and_collect() -> Golden:
        editflow.tasks.models.model_identity.open_model.cache_clear()
        folder = tmp_path_factory.mktemp("golden")
        lake = folder / "lake"
        tiny_world.run_directly(world.spec, lake, "model.dtype=float64")
        tiny_world.run_directly(world.spec, lake, "model.dtype=float64", *everything(folder))
        return collect(lake)

    return run_and_collect


@pytest.fixture(scope="module")
def found(run: Callable[[], Golden]) -> Golden:
    return run()


def test_numbers_change_only_with_the_version(found: Golden) -> None:
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    moved = differences(golden, found)
    if os.environ.get(RENEW):
        blocked = [line for line in moved if "gives other numbers" in line]
        assert not blocked, "\n".join(blocked)
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        return
    assert not moved, "\n".join(moved)


def test_every_stage_is_pinned(found: Golden) -> None:
    """All stages that `tasks` declares are included."""
    from editflow.tasks.stages import ability, drift, edits, evaluation, generated_texts, moments
    from editflow.tasks.stages.stage import Stage

    modules = (ability, drift, edits, evaluation, moments, generated_texts)
    declared = {v.name for module in modules for v in vars(module).values() if isinstance(v, Stage)}
    assert set(found) == declared | {"model", "documents", "requests", "questions", "ability-cases"}


def test_a_changed_stage_is_detected_and_named(
    found: Golden, run: Callable[[], Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: target values one part in a thousand larger, without a new version."""
    from dataclasses import replace

    real = editflow.tasks.stages.edits.optimise

    def slightly_other(*args: Any, **kwargs: Any) -> Any:
        return [replace(value, z=value.z * 1.001) for value in real(*args, **kwargs)]

    monkeypatch.setattr(editflow.tasks.stages.edits, "optimise", slightly_other)
    lines = differences(found, run())
    named = {line.split("'")[1] for line in lines}
    assert {"target-values", "weight-change", "state"} <= named
    assert not named & {"documents", "tokens", "second-moment", "spectrum", "null-space", "contexts", "requests"}
    assert all("raise its version" in line for line in lines)


def test_an_additional_field_in_a_recipe_is_detected(found: Golden) -> None:
    """The control: evaluation's recipe with one more key."""
    more = {**found, "evaluation": {**found["evaluation"], "ids": ["0" * 16]}}
    (line,) = differences(found, more)
    assert "'evaluation' has other ids" in line


def test_a_raised_version_asks_for_new_numbers(found: Golden) -> None:
    raised = {**found, "keys": {**found["keys"], "version": found["keys"]["version"] + 1}}
    (line,) = differences(found, raised)
    assert "'keys' went from version" in line
