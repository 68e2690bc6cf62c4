"""Ids and numbers of every method's weight changes and states on a tiny model in float64, pinned.

As test_golden: numbers may change only with a stage's version. `EDITFLOW_RENEW_GOLDEN=1 pytest
tests/tasks/stages/test_golden_methods.py` writes down what is new, and refuses to change what is there under the same
version.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import tiny_world
from support.method_settings import SETTINGS, SMALL
from support.tiny_world import World

from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.store import Lake, Manifest

RENEW = "EDITFLOW_RENEW_GOLDEN"
GOLDEN = Path(__file__).with_name("golden_methods.json")
KINDS = ("weight_change", "keys", "state")
TOLERANCE = 1e-4
"""Relative tolerance, as in test_golden: eight Adam steps amplify differences of the last digits between machines."""

Found = dict[str, dict[str, Any]]


def collect(lake: Path) -> Found:
    """{kind: {ids, version, numbers}} of the first batch's artifacts that depend on the method."""
    found: Found = {}
    for kind in KINDS:
        made = [m for m in tiny_world.artifacts(lake, kind) if m.spec.get("stage") != "checkpoint"]
        if made:
            store, first = Lake.open(lake), made[0]
            read = numbers(store.read(first.id))
            found[kind] = {"id": stand_in_id(first), "version": first.version, "numbers": read}
    return found


def stand_in_id(made: Manifest) -> str:
    """The id that the recipe has with made-up parents, so that it depends only on spec and roles."""
    parents = {role: "a" * 64 if isinstance(p, str) else ["a" * 64] * len(p) for role, p in made.parents.items()}
    return recipe_id(made.kind, made.version, made.spec, parents)[:16]


def numbers(table: pa.Table) -> dict[str, float]:
    """Sums of squares of the float columns, and the number of rows."""
    found: dict[str, float] = {"rows": table.num_rows}
    for name in table.column_names:
        column = table[name].combine_chunks()
        values = column.flatten() if pa.types.is_list(column.type) else column
        if pa.types.is_floating(values.type):
            found[name] = float(f"{np.square(values.to_numpy()).sum():.6g}")
    return found


def close(old: float, new: float) -> bool:
    return bool(np.isclose(old, new, rtol=TOLERANCE, atol=1e-9))


def differs(old: Found, new: Found) -> list[str]:
    """One line per kind that differs from the recorded one of the same version."""
    lines = [f"{kind} is gone or new" for kind in sorted(set(old) ^ set(new))]
    for kind in sorted(set(old) & set(new)):
        a, b = old[kind], new[kind]
        if a["version"] != b["version"]:
            lines.append(f"{kind} went from version {a['version']} to {b['version']}: renew with {RENEW}=1")
        elif a["id"] != b["id"]:
            lines.append(f"{kind} has another id: lakes would be recomputed; raise its version if this is meant")
        elif not all(close(a["numbers"].get(n, float("nan")), value) for n, value in b["numbers"].items()):
            lines.append(f"{kind} gives other numbers than version {a['version']} did: raise its version")
    return lines


@pytest.fixture(scope="module")
def golden() -> dict[str, Found]:
    return dict(json.loads(GOLDEN.read_text())) if GOLDEN.is_file() else {}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_method_changes_only_with_the_version(
    golden: dict[str, Found], world: World, tmp_path: Path, name: str
) -> None:
    settings = ("model.dtype=float64", *SMALL, *SETTINGS[name], "requests.count=3")
    tiny_world.run_directly(world.spec, tmp_path / "lake", *settings)
    found = collect(tmp_path / "lake")
    if os.environ.get(RENEW):
        blocked = [line for line in differs(golden.get(name, found), found) if "raise its version" in line]
        assert not blocked, blocked
        golden[name] = found
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
        return
    assert name in golden, f"method case {name!r} is new: renew with {RENEW}=1"
    assert not differs(golden[name], found)


def test_a_change_is_detected(golden: dict[str, Found]) -> None:
    """The control: another id, number or version, and a missing kind."""
    memit = golden["memit"]
    keys = memit["keys"]
    assert differs(memit, {**memit, "keys": {**keys, "id": "0"}}) == [
        "keys has another id: lakes would be recomputed; raise its version if this is meant"
    ]
    more = {**keys, "numbers": {**keys["numbers"], "key": keys["numbers"]["key"] * 1.01}}
    assert "other numbers" in differs(memit, {**memit, "keys": more})[0]
    assert "went from version" in differs(memit, {**memit, "keys": {**keys, "version": 99}})[0]
    assert differs(memit, {kind: one for kind, one in memit.items() if kind != "keys"}) == ["keys is gone or new"]


def test_methods_have_different_ids(golden: dict[str, Found]) -> None:
    changes = [found["weight_change"]["id"] for found in golden.values()]
    assert set(golden) == set(SETTINGS)
    assert len(set(changes)) == len(changes)
