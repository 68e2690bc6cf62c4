"""A method, a metric, a reader and a stage from outside the package: one file and one registration each.

The stage is also a measurement and has a kind of its own, so its file is registered under these notions too.

Commands, plans, comparisons, recomputation and the generated documentation support them without another change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import tiny_world
from support.extensions.toy_method import TOY_METHOD
from support.extensions.toy_metric import TOY_METRIC
from support.extensions.toy_reader import TOY_READER
from support.extensions.toy_stage import TOY_KIND, TOY_STAGE, measure
from support.tiny_world import World, editflow

from docs import generate
from editflow.editing.editors.methods import METHODS
from editflow.editing.metrics.registry import METRICS
from editflow.editing.requests.readers import READERS
from editflow.flows.pipeline.measurements import MEASUREMENTS
from editflow.storage.artifacts import kinds
from editflow.storage.artifacts.store import Lake
from editflow.tasks.reproduction.recipes import recipe_of
from editflow.tasks.reproduction.recompute import recompute
from editflow.tasks.stages.registry import STAGES

SETTINGS = (
    "requests.source=triples.jsonl", "requests.dataset=toy-triples", "edit.method=toy-shrink", "edit.shrink=0.25",
    'evaluation.metrics=["efficacy","toy-shout"]', "requests.count=4",
)  # fmt: skip
VARIANTS = """
[[variants]]
name = "toy"
edit.method = "toy-shrink"
edit.shrink = 0.25

[[variants]]
name = "memit"
edit.method = "memit"
edit.alpha = 1
"""
WORDS = [part for setting in SETTINGS for part in ("--set", setting)]


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, TOY_METHOD.name, TOY_METHOD)
        patch.setitem(METRICS, TOY_METRIC.name, TOY_METRIC)
        patch.setitem(READERS, TOY_READER.name, TOY_READER)
        patch.setitem(STAGES, TOY_STAGE.name, TOY_STAGE)
        patch.setitem(MEASUREMENTS, TOY_STAGE.name, measure)
        patch.setitem(kinds.KINDS, TOY_KIND.name, TOY_KIND)
        yield


@pytest.fixture(scope="module")
def toys(registered: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose facts have the toy reader's shape."""
    del registered
    made = tiny_world.make(tmp_path_factory.mktemp("toys"))
    facts = [json.loads(line)["requested_rewrite"] for line in made.facts.read_text(encoding="utf-8").splitlines()]
    rows = [{"who": f["subject"], "new": f["target_new"]["str"], "old": f["target_true"]["str"]} for f in facts]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (made.folder / "triples.jsonl").write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def lake(toys: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a run that uses all four."""
    del server
    folder = tmp_path_factory.mktemp("toy-lake") / "lake"
    record = tiny_world.run(toys.spec, folder, *SETTINGS)
    summary = record["summary"]
    before, after = (summary[when]["toy norms"]["largest"] for when in ("before", "after"))
    assert after == pytest.approx(before * 0.75**2)
    assert {"efficacy", "toy-shout"} <= summary["after"].keys()
    return folder


def test_a_plan_includes_them(toys: World, lake: Path) -> None:
    answer = editflow("plan", toys.spec, "--lake", lake, "--json", *WORDS)
    assert answer.code == 0, answer.err
    stages = {row["stage"]: row for row in answer.json["stages"]}
    assert "toy-norms" in stages
    fresh = editflow("plan", toys.spec, "--lake", lake, "--json", *WORDS, "--set", "edit.shrink=0.5")
    assert fresh.code == 0, fresh.err
    assert fresh.json != answer.json, "the control: the toy's option is part of its recipe"


@pytest.mark.exhaustive
def test_a_comparison_includes_them(toys: World, lake: Path, tmp_path: Path) -> None:
    spec = toys.folder / "compare.toml"
    spec.write_text(toys.spec.read_text(encoding="utf-8") + VARIANTS, encoding="utf-8")
    words = [part for setting in SETTINGS if not setting.startswith("edit.") for part in ("--set", setting)]
    answer = editflow("compare", spec, "--lake", lake, "--out", tmp_path / "out", "--json", *words)
    assert answer.code == 0, answer.err
    assert [run["status"] for run in answer.json["runs"]] == ["completed", "completed"]
    for file in ("table.csv", "comparison.html"):
        assert "toy-shout" in (tmp_path / "out" / file).read_text(encoding="utf-8")


def test_an_artifact_of_the_toy_stage_is_recomputed(lake: Path) -> None:
    store = Lake.open(lake)
    made = tiny_world.artifacts(lake, TOY_KIND.name)
    assert len(made) >= 2
    for manifest in made:
        assert recompute(store, recipe_of(manifest), manifest.environment).digest == manifest.digest


@pytest.mark.parametrize(
    ("part", "name"),
    [("methods", "toy-shrink"), ("metrics", "toy-shout"), ("stages", "toy-norms"), ("kinds", "toy_norms")],
)
def test_the_documentation_lists_them(registered: None, part: str, name: str) -> None:
    del registered
    assert f"| `{name}` |" in generate.PARTS[part]()


@pytest.mark.parametrize(("part", "name"), [("methods", "toy-shrink"), ("stages", "toy-norms")])
def test_without_a_registration_they_are_unknown(part: str, name: str) -> None:
    """The control."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(METHODS, "toy-shrink", raising=False)
        patch.delitem(STAGES, "toy-norms", raising=False)
        assert f"| `{name}` |" not in generate.PARTS[part]()
