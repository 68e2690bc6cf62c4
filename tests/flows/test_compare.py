"""`editflow compare`: variants and seeds share artifacts, resume after an interruption, and are in one table."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from support import tiny_world
from support.report_browser import WIDTHS, Watched, chromium
from support.tiny_world import Answer, World, editflow

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.queries.query import lineage
from editflow.tasks.comparison.comparison_stage import COMPARISON, ComparisonSettings, compare, read_files
from editflow.tasks.comparison.metric_tables import values
from editflow.tasks.models.model_identity import open_model
from editflow.tasks.report.paired_metrics import paired
from editflow.tasks.report.report_tables import before_after
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.stage import Stage

HOSTILE = '<script>document.title = "taken"</script> {{ 7 * 7 }}'
SPEC = f"""
[[variants]]
name = "alphaedit"
label = "AlphaEdit"

[[variants]]
name = "memit"
label = '{HOSTILE}'
edit.method = "memit"
edit.alpha = 1
edit.ridge = 0.1
evaluation.drift = 8

[[variants]]
name = "broken"
edit.method = "ft"
edit.learning_rate = 1e300
edit.max_change = 1e300
"""
REASON = "without overflow"


@dataclass(frozen=True)
class Compared:
    """A comparison that was interrupted in its third run, then run again."""

    spec: Path
    lake: Path
    out: Path
    interrupted: Answer
    kept: set[str]
    answer: Answer

    def csv(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(StringIO((self.out / f"{name}.csv").read_text(encoding="utf-8"))))

    def artifacts(self, kind: str) -> list[Manifest]:
        return tiny_world.artifacts(self.lake, kind)

    def runs(self, variant: str) -> list[RunResults]:
        """The runs of a variant by seed, read like any run."""
        names = [f"tiny-{variant}-{seed}" for seed in (0, 1)]
        found = {run["name"]: run["run"] for run in reversed(editflow("runs", "--json", "--lake", self.lake).json)
                 if run["status"] == "completed"}  # fmt: skip
        return [RunResults.of(Lake.open(self.lake), found[name]) for name in names]


@pytest.fixture(scope="module")
def compared(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Two variants and one that fails, two seeds, two batches of three facts."""
    del server
    open_model.cache_clear()
    folder = tmp_path_factory.mktemp("compare")
    spec = world.folder / "compared.toml"
    spec.write_text(world.spec.read_text(encoding="utf-8") + SPEC, encoding="utf-8")
    lake, out = folder / "lake", folder / "out"
    small = ("edit.batch_size=3", "edit.layers=[1, 2]", "corpus.partitions=1")
    command = ("compare", spec, "--seeds", "0,1", "--lake", lake, "--out", out)
    command += tuple(part for setting in small for part in ("--set", setting))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "250")
        with interrupted_at("tiny-memit-0"):
            first = editflow(*command)
        kept = set(tiny_world.digests(lake))
        return Compared(spec, lake, out, first, kept, editflow(*command, "--json"))


class interrupted_at:  # noqa: N801 - a context manager, used as one
    """Ctrl-C at the first new weight change of a run."""

    def __init__(self, run: str) -> None:
        self.run, self.patch = run, pytest.MonkeyPatch()

    def __enter__(self) -> None:
        perform, run = Stage.perform, self.run

        def interrupted(self: Stage, lake: str, settings: Any, parents: Any, how: Any) -> Any:
            if self.name == "weight-change" and settings.method == "memit":
                raise KeyboardInterrupt(run)
            return perform(self, lake, settings, parents, how)

        self.patch.setattr(Stage, "perform", interrupted)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


@pytest.mark.exhaustive
def test_an_interrupted_comparison_continues(compared: Compared) -> None:
    assert compared.interrupted.code == 130
    assert "run 3 of 6: tiny-memit-0 (2 done)" in compared.interrupted.err
    assert not (compared.out / "comparison.html").exists() or compared.answer.code == 1
    assert compared.kept
    tiny_world.sound(compared.lake)
    made = set(re.findall(r"created  .* ([0-9a-f]{12}) ", compared.answer.err))
    assert made
    assert not made & {id_[:12] for id_ in compared.kept}
    assert "run 6 of 6: tiny-broken-1 (4 done, 1 failed)" in compared.answer.err


def test_shared_artifacts_are_computed_once(compared: Compared) -> None:
    """By kind; states, which variants and seeds cannot share, are the control."""
    model = compared.artifacts("model")[0].id
    counts = Counter(m.kind for m in Lake.open(compared.lake).manifests())
    assert counts["model"] == counts["documents"] == 1
    assert counts["tokens"] == 2  # the documents of the moments and the held-out ones
    assert counts["second_moment"] == 2  # one partition and the total
    assert counts["spectrum"] == counts["null_space"] == 2  # one per layer
    assert counts["contexts"] == 2  # a seed each
    assert counts["target_values"] == 2 + 2 * 2  # all variants share those of a seed's first batch
    base = [m for m in compared.artifacts("evaluation") if m.parents["state"] == model]
    assert len(base) == 2  # a seed each
    assert len([m for m in compared.artifacts("perplexity") if m.parents["state"] == model]) == 1
    assert counts["state"] == 2 * 2 * 2


def test_a_failed_run_is_named_and_the_others_continue(compared: Compared) -> None:
    assert compared.answer.code == 1
    found = compared.answer.json
    assert [run["status"] == "completed" for run in found["runs"]] == [True] * 4 + [False] * 2
    assert all(REASON in run["status"] for run in found["runs"][4:])
    page = (compared.out / "comparison.html").read_text(encoding="utf-8")
    assert re.search(rf"broken</th><td class=\"failed\"[^>]*>failed in 2 of 2 seeds: .*{REASON}", page)
    assert [row["status"] for row in compared.csv("rows")][:4] == ["completed"] * 4


def test_its_scores_equal_those_of_the_runs(compared: Compared) -> None:
    """Values of each run equal those of its report; the table has their mean and Student's t interval."""
    memit = compared.runs("memit")
    told = {(row["label"], row["figure"]): row for row in compared.csv("table")}
    assert {label for label, _ in told} == {"AlphaEdit", HOSTILE}
    for run in memit:
        own = {row["metric"]: (row["before"].value, row["after"].value) for row in before_after(run)}
        light = {name: (before, after) for name, (_, before, after) in values(run).items()}
        assert light.keys() == own.keys()
        for name, pair in light.items():
            assert pair == pytest.approx(own[name]), name
    for figure in ("efficacy success", "held-out perplexity", "drift of layer 2, relative mean shift"):
        runs = [values(run)[figure][2] for run in memit]
        row = told[HOSTILE, figure]
        assert float(row["after"]) == pytest.approx(fmean(runs))
        assert float(row["after low"]) <= min(runs) <= max(runs) <= float(row["after high"])
    assert len({values(run)["held-out perplexity"][2] for run in memit}) == 2, "the control: seeds differ"


def test_differences_are_paired_case_by_case(compared: Compared) -> None:
    (row,) = [r for r in compared.csv("differences") if r["metric"] == "efficacy magnitude %"]
    seeds = [
        next(r for r in paired(one, other) if r["metric"] == "efficacy magnitude %")["difference"].value
        for one, other in zip(compared.runs("alphaedit"), compared.runs("memit"), strict=True)
    ]
    assert (row["label"], row["against"], row["cases"], row["seeds"]) == (HOSTILE, "AlphaEdit", "6", "2")
    assert float(row["difference"]) == pytest.approx(fmean(seeds), abs=1e-9)
    assert seeds[0] != seeds[1], "the control"
    assert float(row["difference low"]) <= float(row["difference"]) <= float(row["difference high"])


def test_curves_maps_and_norms_equal_those_of_the_runs(compared: Compared) -> None:
    curve = [r for r in compared.csv("curves") if (r["label"], r["metric"]) == ("AlphaEdit", "efficacy")]
    assert {(r["facts"], r["edits"]) for r in curve} == {
        *(("all facts so far", n) for n in ("0", "3", "6")),  # after the first batch there are no earlier facts
        *(("the batch's own facts", n) for n in ("3", "6")),
    }  # fmt: skip
    assert {r["seeds"] for r in curve} == {"2"}
    first = [c.record.summary["batches"][0]["metrics"]["efficacy"]["success"] for c in compared.runs("alphaedit")]
    (point,) = [r for r in curve if (r["facts"], r["edits"]) == ("the batch's own facts", "3")]
    assert float(point["value"]) == pytest.approx(fmean(first), abs=0.01)
    norms = compared.csv("norms")
    assert len(norms) == 2 * 2 * 2  # rows, layers, batches
    assert {r["label"] for r in compared.csv("null_space_use")} == {"AlphaEdit"}  # MEMIT has none
    cells = {(r["batch"], r["state"]) for r in compared.csv("retention") if r["metric"] == "efficacy"}
    assert cells == {("1", "1"), ("2", "2"), ("1", "2")}
    assert {r["layer"] for r in compared.csv("drift")} == {"1", "2"}


def test_its_parents_are_the_artifacts_it_shows_and_its_bytes_repeat(compared: Compared) -> None:
    lake = Lake.open(compared.lake)
    (made,) = compared.artifacts("comparison")
    assert compared.answer.json["artifact"] == made.id
    assert {step.kind for step in lineage(lake, made.id)} >= {"state", "evaluation", "drift", "keys", "second_moment"}
    before = read_files(lake, made.id)
    assert {path.name: path.read_text(encoding="utf-8") for path in compared.out.iterdir()} == before
    rows = made.spec["rows"]
    assert compare(lake, rows, made.parents).id == made.id
    renamed = [{**rows[0], "label": "another"}, *rows[1:]]
    other = ComparisonSettings(tuple(renamed), made.spec["drawn_by"])
    assert COMPARISON.id(other, made.parents) != made.id, "the control"
    lake.discard_payload(made.id)
    assert read_files(lake, compare(lake, rows, made.parents).id) == before
    assert not re.search(r"\d{8}T\d{6}-", before["comparison.html"]), "no run id: a repeated run gives the same page"


@pytest.fixture(scope="module")
def plain(compared: Compared) -> Iterator[list[Watched]]:
    """The page at both widths, without scripts."""
    with chromium() as browser:
        page = compared.out / "comparison.html"
        yield [
            Watched(browser, page, viewport={"width": width, "height": 900}, color_scheme=scheme,
                    java_script_enabled=False)
            for width, scheme in WIDTHS
        ]  # fmt: skip


def test_the_page_needs_no_script_and_fits(compared: Compared, plain: list[Watched]) -> None:
    grounds = set()
    for watched, (width, _) in zip(plain, WIDTHS, strict=True):
        assert watched.complaints == []
        assert len(watched.requests) == 1
        assert watched.page.title() == "Comparison of 3 ways to edit, EditFlow"
        main = watched.page.locator("main").bounding_box()
        assert main and main["x"] + main["width"] <= width
        for part in ("table", "curves", "retention", "drift", "norms", "use", "differences", "rows"):
            assert watched.page.locator(f"#{part}").is_visible()
        pictures = watched.page.locator("figure:visible svg").all()
        assert len(pictures) > 10
        assert all(picture.bounding_box()["width"] <= width for picture in pictures)
        grounds.add(watched.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2, "light and dark"
    page = (compared.out / "comparison.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert len(re.findall(r'class="mark-area role-mark layer_0_marks" role', page)) > 5, "the range of the seeds"
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|\b49\b(?= \()", page)
    assert "&lt;script&gt;" in page, "the control: the label is shown as text"
