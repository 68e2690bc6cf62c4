"""The report is an artifact with its lineage, and what it says is what the lake says."""

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
from editflow.tasks.report import null_space_tables, results
from editflow.tasks.report.page import shown
from editflow.tasks.report.run_results import RunResults

pytestmark = pytest.mark.slow


def report(lake: Path, out: Path, run: str = "last") -> str:
    """The page of a report that must succeed."""
    answer = editflow("report", run, "--out", out, "--lake", lake)
    assert answer.code == 0, answer.err
    return out.read_text(encoding="utf-8")


def test_it_is_made_once_and_from_everything_that_it_shows(copied: Path, tmp_path: Path) -> None:
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


def test_an_artifact_that_is_gone_is_named_with_the_remedy(copied: Path, tmp_path: Path) -> None:
    (*_, gone) = tiny_world.artifacts(copied, "evaluation")
    shutil.rmtree(tiny_world.payload(copied, gone).parent)
    answer = editflow("report", "last", "--out", tmp_path / "r.html", "--lake", copied)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert gone.id[:12] in answer.err
    assert "run its spec again" in answer.err


def test_a_number_of_threads_that_cannot_be_stops_nobody(copied: Path, tmp_path: Path) -> None:
    """Of the run for its report, and of the state for a question; a number above this machine's is told of."""
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


@pytest.mark.parametrize("metrics", [[], ["efficacy"], ["paraphrase"]], ids=["none", "efficacy", "paraphrase"])
def test_what_was_not_asked_is_not_told(world: World, tmp_path: Path, metrics: list[str]) -> None:
    """No verdict on facts that nobody asked for, and no figure that is none."""
    settings = (f"evaluation.metrics={metrics}", "evaluation.after_batch=[]", "evaluation.perplexity=false")
    record = tiny_world.run(world.spec, tmp_path / "lake", *settings)
    page = report(tmp_path / "lake", tmp_path / "r.html")
    assert not re.search(r"<td>\s*nan", page)
    course = RunResults.of(Lake.open(tmp_path / "lake"), record["run_id"])
    assert course.metrics == metrics
    said = {row["said"] for row in results.worst(course, 100)}
    assert said <= ({True, False} if "efficacy" in metrics else {None})
    assert ("Nothing was found amiss" in page) == (not said)


def test_it_gives_the_same_bytes_when_it_was_lost(copied: Path, tmp_path: Path) -> None:
    first = report(copied, tmp_path / "a.html")
    (page,) = tiny_world.artifacts(copied, "report")
    Lake.open(copied).discard_payload(page.id)
    assert report(copied, tmp_path / "b.html") == first


def test_its_table_is_the_runs_summary(reference) -> None:
    course = RunResults.of(Lake.open(reference.lake), reference.record["run_id"])
    rows = {row["metric"]: row for row in results.before_after(course)}
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


def test_its_curves_are_the_batches_own_evaluations(reference) -> None:
    course = RunResults.of(Lake.open(reference.lake), reference.record["run_id"])
    points = {(r["batch"], r["metric"], r["facts"]): r["percent"] for r in results.by_batch(course)}
    batches = reference.record["summary"]["batches"]
    for batch in batches:
        wanted = batch["metrics"]["efficacy"]["success"]
        assert points[batch["batch"], "efficacy", "the batch's own facts"] == pytest.approx(wanted, abs=0.005)
    whole = reference.record["summary"]["after"]["efficacy"]["success"]
    assert points[len(batches), "efficacy", "all facts so far"] == pytest.approx(whole, abs=0.005)
    # Nobody asked for paraphrases between the batches, so nothing is drawn there.
    assert {batch for batch, metric, _ in points if metric == "paraphrase"} == {0, len(batches)}


def test_asked_at_checkpoints_the_heat_map_is_full(hostile) -> None:
    course = RunResults.of(Lake.open(hostile.lake), hostile.record["run_id"])
    cells = {(r["batch"], r["state"]) for r in results.retention(course) if r["metric"] == "paraphrase"}
    assert cells == {(batch, state) for state in (1, 2, 3) for batch in range(1, state + 1)}
    assert sorted(course.perplexities) == [0, 1, 2, 3]


def test_checkpoints_change_no_edit(hostile, world: World, tmp_path: Path) -> None:
    settings = (f"requests.source={hostile.record['spec']['requests']['source']}", "corpus.window=128")
    plain = tiny_world.run(world.spec, tmp_path / "lake", *settings)
    assert plain["state"] == hostile.record["state"]
    assert len(plain["uses"]) < len(hostile.record["uses"])


def test_the_null_space_is_what_the_threshold_leaves(reference) -> None:
    course = RunResults.of(Lake.open(reference.lake), reference.record["run_id"])
    assert [(row["layer"], row["width"], row["free"]) for row in null_space_tables.layers(course)] == [
        (layer, 64, 32) for layer in (0, 1, 2)
    ]
    assert {row["edge"] for row in null_space_tables.spectrum_points(course)} == {32}
    shares = [row["share"] for row in null_space_tables.null_space_use(course)]
    assert len(shares) == 3 * 3
    assert all(0 < share < 100 for share in shares)


def test_what_is_lost_is_told_with_its_reason(reference) -> None:
    course = RunResults.of(Lake.open(reference.lake), reference.record["run_id"])
    hurt = {row["subject"]: row for row in results.worst(course, 100)}
    after = {row["request"]: row for row in course.scores if row["metric"] == "efficacy" and row["n"] == course.last}
    for request, row in course.requests.items():
        if not after[request]["success"]:
            assert not hurt[row["subject"]]["said"]
            assert re.search("still likelier|lost by a later", " ".join(hurt[row["subject"]]["reasons"]))
    assert all(row["reasons"] for row in hurt.values())


@pytest.mark.filterwarnings("always::editflow.tasks.report.stages.NoAnswers")
def test_without_the_model_all_else_is_told(world: World, copied: Path, tmp_path: Path) -> None:
    """A lake that was sent to a colleague comes without the model; answers that it holds are shown all the same."""
    away = world.model.rename(tmp_path / "away")
    try:
        answer = editflow("report", "last", "--out", tmp_path / "without.html", "--lake", copied)
    finally:
        away.rename(world.model)
    assert answer.code == 0
    assert re.search("^warning: the report shows no answers: the model's folder .* is missing", answer.err)
    without, whole = (tmp_path / "without.html").read_text(), report(copied, tmp_path / "whole.html")
    assert "What the models say is not shown" in without
    assert "What the models say is not shown" not in whole
    assert 'aria-label="What both models say"' in whole
    away = world.model.rename(tmp_path / "away")
    try:
        assert report(copied, tmp_path / "again.html") == whole
    finally:
        away.rename(world.model)


def test_every_hurt_neighbour_is_named(reference, copied: Path, tmp_path: Path) -> None:
    course = RunResults.of(Lake.open(copied), reference.record["run_id"])
    kept = {
        (row["request"], row["prompt"])
        for row in course.scores
        if (row["metric"], row["n"]) == ("neighbourhood", 0) and row["success"]
    }
    lost = {
        (row["request"], row["prompt"])
        for row in course.scores
        if (row["metric"], row["n"]) == ("neighbourhood", course.last) and not row["success"]
    }
    told = {prompt for row in results.worst(course, 100) for prompt in row["hurt"]}
    assert told == {prompt for _, prompt in kept & lost}
    assert told
    page = report(copied, tmp_path / "r.html")
    first = results.worst(course, 1)[0]
    assert first["hurt"]
    assert all(f"<li><bdi>{prompt}</bdi></li>" in page for prompt in first["hurt"])


def test_hostile_texts_stay_texts(hostile, tmp_path: Path) -> None:
    page = report(hostile.lake, tmp_path / "r.html")
    assert page.count("<script>") == 1  # the page's own
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    assert not set(page) & {"\x1b", "\x07", "\u202e", "\u200b"}
    assert shown("\x1b[31mred") == r"\x1b[31mred"  # what no fact may hold, and a lake of somebody else may
    assert "[31mred" in page
    assert r"\u202ede" in page
    assert "x" * 400 not in page
    assert len(page) < 1_000_000


def test_long_and_unprintable_texts_are_shown_as_what_they_are() -> None:
    assert shown("plain é 東京") == "plain é 東京"
    assert shown("a\tb\x9b\u2066") == r"a\tb\x9b\u2066"
    assert shown("y" * 1000, 10) == "y" * 10 + "… (1,000 characters)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "0 runs match 'nobody'"),
        (["last", "--out", "no/such/folder.html"], "no folder no/such to write the report to"),
        (["last", "--out", "."], "is a folder: give a file"),
        (["last", "--out", "/proc/r.html"], "/proc/r.html cannot be written"),
        ([""], "the run's name is empty"),
    ],
)
def test_a_wrong_word_gets_one_line(copied: Path, arguments: list[str], said: str) -> None:
    answer = editflow("report", *arguments, "--lake", copied)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert said in answer.err


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
