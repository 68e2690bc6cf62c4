"""The report is an artifact with a lineage, and its numbers are the numbers of the lake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from support import tiny_world
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import lineage
from editflow.tasks.environment import cores
from editflow.tasks.report import null_space_tables, report_tables
from editflow.tasks.report.report_page import shown
from editflow.tasks.report.run_results import RunResults

pytestmark = pytest.mark.slow


def report(lake: Path, out: Path, run: str = "last") -> str:
    """The text of the page; the command must succeed."""
    answer = editflow("report", run, "--out", out, "--lake", lake)
    assert answer.code == 0, answer.err
    return out.read_text(encoding="utf-8")


def test_the_page_is_created_once_and_its_lineage_has_everything_that_it_shows(copied: Path, tmp_path: Path) -> None:
    first = report(copied, tmp_path / "a.html")
    made = {m.id for kind in ("report", "answers") for m in tiny_world.artifacts(copied, kind)}
    with tiny_world.counted_loads() as loads:
        assert report(copied, tmp_path / "b.html") == first
    assert loads == []
    assert {m.id for kind in ("report", "answers") for m in tiny_world.artifacts(copied, kind)} == made
    (page,) = tiny_world.artifacts(copied, "report")
    kinds = {step.kind for step in lineage(Lake.open(copied), page.id)}
    assert kinds >= {"answers", "evaluation", "perplexity", "state", "target_values", "keys", "spectrum", "null_space"}
    assert kinds >= {"documents", "second_moment", "model"}


def test_a_missing_artifact_is_named_with_the_remedy(copied: Path, tmp_path: Path) -> None:
    (*_, gone) = tiny_world.artifacts(copied, "evaluation")
    shutil.rmtree(tiny_world.payload(copied, gone).parent)
    answer = editflow("report", "last", "--out", tmp_path / "r.html", "--lake", copied)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert gone.id[:12] in answer.err
    assert "run its spec again" in answer.err


@pytest.mark.exhaustive
def test_an_invalid_recorded_number_of_threads_is_ignored(copied: Path, tmp_path: Path) -> None:
    """In the record of a run for `report`, and in the manifest of a state for `ask`; too large a number is reported."""
    (state,) = [Path(tiny_world.payload(copied, m).parent) for m in tiny_world.artifacts(copied, "state")][-1:]
    (started,) = copied.glob("runs/*/started.json")
    before = torch.get_num_threads()
    for number, threads in enumerate((0, -1, "x", 10**6)):
        for file in (started, state / "manifest.json"):
            record = json.loads(file.read_text(encoding="utf-8"))
            record["environment"]["threads"] = threads
            file.write_text(json.dumps(record), encoding="utf-8")
        for words in (["report", "last", "--out", tmp_path / f"{number}.html"], ["ask", "last", "Lyon is in"]):
            answer = editflow(*words, "--lake", copied)
            assert answer.code == 0, (threads, answer)
            assert ("cores" in answer.err) == (threads == 10**6)
            assert torch.get_num_threads() <= max(before, cores())
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "metrics",
    [
        pytest.param([], id="none"),
        pytest.param(["efficacy"], id="efficacy", marks=pytest.mark.exhaustive),
        pytest.param(["paraphrase"], id="paraphrase", marks=pytest.mark.exhaustive),
    ],
)
def test_metrics_that_were_not_measured_are_not_shown(world: World, tmp_path: Path, metrics: list[str]) -> None:
    """Facts that were not evaluated have no result, and the page has no NaN."""
    settings = (f"evaluation.metrics={metrics}", "evaluation.after_batch=[]", "evaluation.perplexity=false")
    record = tiny_world.run(world.spec, tmp_path / "lake", *settings)
    page = report(tmp_path / "lake", tmp_path / "r.html")
    assert not re.search(r"<td>\s*nan", page)
    results = RunResults.load(Lake.open(tmp_path / "lake"), record["run_id"])
    assert results.metrics == metrics
    results_of_facts = {row["said"] for row in report_tables.worst(results, 100)}
    assert results_of_facts <= ({True, False} if "efficacy" in metrics else {None})
    assert ("No failures were found" in page) == (not results_of_facts)


def test_a_lost_page_is_recreated_with_the_same_bytes(copied: Path, tmp_path: Path) -> None:
    first = report(copied, tmp_path / "a.html")
    (page,) = tiny_world.artifacts(copied, "report")
    Lake.open(copied).discard_payload(page.id)
    assert report(copied, tmp_path / "b.html") == first


def test_the_table_has_the_scores_of_the_summary(reference) -> None:
    results = RunResults.load(Lake.open(reference.lake), reference.record["run_id"])
    rows = {row["metric"]: row for row in report_tables.before_after(results)}
    for when in ("before", "after"):
        for metric, scores in reference.record["summary"][when].items():
            if metric == "perplexity":
                assert rows["held-out perplexity"][when].value == pytest.approx(scores, abs=1e-3)
                continue
            for column, wanted in scores.items():
                assert rows[f"{metric} {column}"][when].value == pytest.approx(wanted, abs=0.005)
    for row in rows.values():
        for interval in (row["before"], row["after"], row["change"]):
            assert interval.low <= interval.value <= interval.high


def test_the_curves_are_the_evaluations_of_the_batches(reference) -> None:
    results = RunResults.load(Lake.open(reference.lake), reference.record["run_id"])
    points = {(r["batch"], r["metric"], r["facts"]): r["percent"] for r in report_tables.by_batch(results)}
    batches = reference.record["summary"]["batches"]
    for batch in batches:
        wanted = batch["metrics"]["efficacy"]["success"]
        assert points[batch["batch"], "efficacy", "the batch's own facts"] == pytest.approx(wanted, abs=0.005)
    whole = reference.record["summary"]["after"]["efficacy"]["success"]
    assert points[len(batches), "efficacy", "all facts so far"] == pytest.approx(whole, abs=0.005)
    # Paraphrases were not evaluated between the batches, so there are no points.
    assert {batch for batch, metric, _ in points if metric == "paraphrase"} == {0, len(batches)}


def test_with_checkpoints_the_heat_map_is_complete(hostile) -> None:
    results = RunResults.load(Lake.open(hostile.lake), hostile.record["run_id"])
    cells = {(r["batch"], r["state"]) for r in report_tables.retention(results) if r["metric"] == "paraphrase"}
    assert cells == {(batch, state) for state in (1, 2, 3) for batch in range(1, state + 1)}
    assert sorted(results.perplexities) == [0, 1, 2, 3]


@pytest.mark.exhaustive
def test_checkpoints_do_not_change_edits(hostile, world: World, tmp_path: Path) -> None:
    settings = (f"requests.source={hostile.record['spec']['requests']['source']}", "corpus.window=128")
    plain = tiny_world.run(world.spec, tmp_path / "lake", *settings)
    assert plain["state"] == hostile.record["state"]
    assert len(plain["uses"]) < len(hostile.record["uses"])


def test_the_null_space_is_determined_by_the_threshold(reference) -> None:
    results = RunResults.load(Lake.open(reference.lake), reference.record["run_id"])
    assert [(row["layer"], row["width"], row["free"]) for row in null_space_tables.layers(results)] == [
        (layer, 64, 32) for layer in (0, 1, 2)
    ]
    assert {row["edge"] for row in null_space_tables.spectrum_points(results)} == {32}
    shares = [row["share"] for row in null_space_tables.null_space_use(results)]
    assert len(shares) == 3 * 3
    assert all(0 < share < 100 for share in shares)


def test_failed_facts_are_listed_with_reasons(reference) -> None:
    results = RunResults.load(Lake.open(reference.lake), reference.record["run_id"])
    worst = {row["subject"]: row for row in report_tables.worst(results, 100)}
    after = {row["request"]: row for row in results.scores if row["metric"] == "efficacy" and row["n"] == results.last}
    for request, row in results.requests.items():
        if not after[request]["success"]:
            assert not worst[row["subject"]]["said"]
            assert re.search("still more likely|lost in a later", " ".join(worst[row["subject"]]["reasons"]))
    assert all(row["reasons"] for row in worst.values())


@pytest.mark.filterwarnings("always::editflow.tasks.report.report_stage.NoAnswers")
def test_without_the_model_everything_but_the_answers_is_shown(world: World, copied: Path, tmp_path: Path) -> None:
    """A lake may be copied without the model. Answers that are in the lake are still shown."""
    away = world.model.rename(tmp_path / "away")
    try:
        answer = editflow("report", "last", "--out", tmp_path / "without.html", "--lake", copied)
    finally:
        away.rename(world.model)
    assert answer.code == 0
    assert re.search("^warning: the report shows no answers: the model's folder .* is missing", answer.err)
    without, whole = (tmp_path / "without.html").read_text(), report(copied, tmp_path / "whole.html")
    assert "answers of the models are not shown" in without
    assert "answers of the models are not shown" not in whole
    assert 'aria-label="Answers of both models"' in whole
    away = world.model.rename(tmp_path / "away")
    try:
        assert report(copied, tmp_path / "again.html") == whole
    finally:
        away.rename(world.model)


def test_every_changed_neighbour_is_listed(reference, copied: Path, tmp_path: Path) -> None:
    results = RunResults.load(Lake.open(copied), reference.record["run_id"])
    kept = {
        (row["request"], row["prompt"])
        for row in results.scores
        if (row["metric"], row["n"]) == ("neighbourhood", 0) and row["success"]
    }
    lost = {
        (row["request"], row["prompt"])
        for row in results.scores
        if (row["metric"], row["n"]) == ("neighbourhood", results.last) and not row["success"]
    }
    listed = {prompt for row in report_tables.worst(results, 100) for prompt in row["hurt"]}
    assert listed == {prompt for _, prompt in kept & lost}
    assert listed
    page = report(copied, tmp_path / "r.html")
    first = report_tables.worst(results, 1)[0]
    assert first["hurt"]
    assert all(f"<li><bdi>{prompt}</bdi></li>" in page for prompt in first["hurt"])


def test_hostile_texts_are_escaped(hostile, tmp_path: Path) -> None:
    page = report(hostile.lake, tmp_path / "r.html")
    assert page.count("<script>") == 1  # the script of the page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    assert not set(page) & {"\x1b", "\x07", "\u202e", "\u200b"}
    assert shown("\x1b[31mred") == r"\x1b[31mred"  # rejected in requests, but possible in a foreign lake
    assert "[31mred" in page
    assert r"\u202ede" in page
    assert "x" * 400 not in page
    assert len(page) < 1_000_000


def test_long_texts_are_cut_and_unprintable_characters_escaped() -> None:
    assert shown("plain é 東京") == "plain é 東京"
    assert shown("a\tb\x9b\u2066") == r"a\tb\x9b\u2066"
    assert shown("y" * 1000, 10) == "y" * 10 + "… (1,000 characters)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "0 runs match 'nobody'"),
        (["last", "--out", "no/such/folder.html"], "no folder no/such to write the report to"),
        (["last", "--out", "."], "is a folder: give a file"),
        (["last", "--out", "/proc/r.html"], "/proc/r.html cannot be written"),
        ([""], "the run's name is empty"),
    ],
)
def test_invalid_input_is_refused_in_one_line(copied: Path, arguments: list[str], message: str) -> None:
    answer = editflow("report", *arguments, "--lake", copied)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert message in answer.err


def test_a_run_that_failed_has_no_report(world: World, server: str, tmp_path: Path) -> None:
    answer = editflow(
        "run", world.spec, "--lake", tmp_path / "lake", "--set", "edit.z_layer=3", "--set", "edit.layers=[9]"
    )
    assert answer.code == 2
    none = ("--set", "null_space.rule=absolute", "--set", "null_space.value=1e-30")
    tiny_world.editflow("run", world.spec, "--lake", tmp_path / "lake", *none)
    answer = editflow("report", "last", "--lake", tmp_path / "lake", "--out", tmp_path / "r.html")
    assert answer.code == 2
    assert "is failed and has no results to report" in answer.err
    assert not (tmp_path / "r.html").exists()
