"""Requests of a queue pass gates and become releases: rejected ones get a reason, others are applied exactly once."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.prefect_pages import latest, table
from support.queue_without_model import fact
from support.tiny_queue import OPEN, apply_directly, served
from support.tiny_world import World, editflow

from editflow.flows.apply import MAX_LINES
from editflow.flows.orchestration import notifications
from editflow.flows.pipeline.facts import load_facts
from editflow.flows.pipeline.gates import breaches
from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.sections import GatesSection
from editflow.storage.artifacts.store import Lake
from editflow.storage.json_records import now
from editflow.tasks.releases.queue import Queue, ReleaseEvent

LOOSE = "[gates]\nefficacy = 0\nretention = 0\nneighbourhood = 100\nperplexity = 1e9\n"
"""Gates that measure everything and reject nothing."""
STRICT = "[gates]\nefficacy = 1\nretention = false\nneighbourhood = false\nperplexity = false\n"


def apply(spec: Path, lake: Path, *more: object) -> dict[str, Any]:
    answer = editflow("apply", spec, "--lake", lake, "--json", *more)
    assert answer.code == 0, answer.err
    return dict(answer.json)


@pytest.fixture(scope="module")
def loose(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Four facts applied in two batches through gates that stop nothing; the lake and the run's record."""
    del server
    folder = tmp_path_factory.mktemp("loose")
    rows = {str(row["case_id"]): row for row in tiny_world.records()}
    chosen = load_facts(load_spec(world.spec, ["requests.count=4"]).requests)
    facts = tiny_world.write_lines(folder / "facts.jsonl", [rows[request.request_id] for request in chosen])
    assert editflow("submit", facts, "--lake", folder / "lake").code == 0
    return folder / "lake", apply(served(world, folder, LOOSE), folder / "lake")


def test_the_release_holds_the_weights_of_a_run_on_the_same_facts(loose, world: World, tmp_path: Path) -> None:
    lake, record = loose
    run = tiny_world.record_directly(world.spec, tmp_path / "lake", "requests.count=4")
    ours, theirs = (Lake.open(place).read(state).to_pylist() for place, state in
                    ((lake, record["state"]), (tmp_path / "lake", run.state)))  # fmt: skip
    assert [row["weight_digest"] for row in ours] == [row["weight_digest"] for row in theirs]


def test_progress_is_on_the_runs_page(loose) -> None:
    """Half of the requests after the first batch, all after the second."""
    assert latest("serve-progress")["serve-progress"].data == 100.0


def test_nothing_is_applied_twice(loose, world: World, tmp_path: Path) -> None:
    lake, record = loose
    before = tiny_world.digests(lake)
    again = apply(served(world, tmp_path, LOOSE), lake)
    assert again["summary"]["settled"] == []
    assert (again["state"], tiny_world.digests(lake)) == (record["state"], before)


def test_releases_are_distinguished(loose) -> None:
    """By number: the second release added two facts, and all four came since the base model."""
    rows = ("@2", "", "gained", 2), ("", "@2", "lost", 2), ("@0", "@4", "gained", 4)
    for one, other, what, number in rows:
        found = editflow("diff", f"current{one}", f"current{other}", "--lake", loose[0], "--json").json
        assert [row["what"] for row in found["facts"]] == [what] * number
    assert [row["metric"] for row in found["metrics"]] == []  # the base model was not measured
    metrics = editflow("diff", "current@2", "current", "--lake", loose[0], "--json").json["metrics"]
    assert [row["metric"] for row in metrics] == ["gate efficacy", "gate neighbourhood", "gate perplexity"]
    for row in metrics:
        assert row["difference"]["value"] == pytest.approx(row["other"]["value"] - row["one"]["value"])
    answer = editflow("diff", "current@3", "current", "--lake", loose[0])
    assert (answer.code, "current has no release '3'" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("setting", "fragment"),
    [
        ("model.dtype=float64", "release current edits another model"),
        ("edit.layers=[1]", "release current edits layers"),
    ],
)
def test_artifacts_of_a_release_stay(loose, world: World, tmp_path: Path, setting: str, fragment: str) -> None:
    """Another model or other layers would lose the facts of earlier releases."""
    lake = shutil.copytree(loose[0], tmp_path / "lake")
    editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", tiny_world.records()[-1:]), "--lake", lake)
    before = len(Queue(Lake.open(lake).files, "current").events())
    answer = editflow("apply", served(world, tmp_path, LOOSE), "--lake", lake, "--set", setting)
    assert answer.code == 2
    assert fragment in answer.err.splitlines()[-1]
    assert len(Queue(Lake.open(lake).files, "current").events()) == before


@pytest.mark.exhaustive
def test_a_trained_release_has_no_keys_to_hold(world: World, server: str, tmp_path: Path) -> None:
    lake, spec = tmp_path / "lake", served(world, tmp_path, LOOSE)
    for record, words in zip(tiny_world.records(2), (["edit.method=ft", "edit.steps=1"], []), strict=True):
        editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", [record]), "--lake", lake)
        answer = editflow("apply", spec, "--lake", lake, *(word for one in words for word in ("--set", one)))
        assert answer.code == (0 if words else 2)
    assert "alphaedit needs the keys of all earlier facts" in answer.err.splitlines()[-1]


def test_the_release_answers_under_its_name(loose) -> None:
    lake, record = loose
    answers = editflow("ask", "current", "speaks", "--lake", lake, "--json").json
    assert answers == editflow("ask", record["run_id"], "speaks", "--lake", lake, "--json").json
    assert answers["edited"] != answers["base"]
    assert record["state"][:12] in editflow("releases", "--lake", lake).out
    assert "4 applied" in editflow("queue", "--lake", lake).out
    assert "release current: " in editflow("show", record["run_id"], "--lake", lake).out


def test_gates_measure_what_an_evaluation_measures(loose) -> None:
    """Compared with SQL over the lake's evaluations of the batch's facts and of those from the batch before."""
    lake, record = loose
    ids = {entry.id: entry.request.request_id for entry in Queue(Lake.open(lake).files, "current").entries()}
    first, second = record["summary"]["settled"]
    gates = {"efficacy", "neighbourhood", "perplexity"}
    assert (set(first["measures"]), set(second["measures"])) == (gates, {*gates, "retention"})  # no earlier facts
    for move, gate, of in ((first, "efficacy", first), (second, "efficacy", second), (second, "retention", first)):
        named = ", ".join(f"'{ids[entry]}'" for entry in of["entries"])
        sql = f"""SELECT 100 * avg(success) AS success FROM evaluations
                  WHERE state = '{move["state"]}' AND metric = 'efficacy' AND request IN ({named})"""  # noqa: S608
        (row,) = editflow("query", sql, "--lake", lake, "--json").json
        assert move["measures"][gate] == pytest.approx(row["success"], abs=0.01)


def test_a_batch_that_breaks_a_gate_is_rejected_with_the_reason(world: World, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", tiny_world.records(3)), "--lake", lake)
    spec = served(world, tmp_path, STRICT, batch_size=3)
    summary = apply_directly(spec, lake, "target_values.clamp=1e-9").summary
    rejected = [move for move in summary["settled"] if move["status"] == "rejected"]
    assert rejected
    for move in rejected:
        assert len(move["entries"]) == 1
        assert list(move["reasons"]) == ["efficacy: 0%, at least 1 allowed"]
    requests_by_id = {row["entry"]: row for row in editflow("queue", "--lake", lake, "--json").json}
    assert {requests_by_id[move["entries"][0]]["status"] for move in rejected} == {"rejected"}
    assert all("efficacy" in requests_by_id[move["entries"][0]]["reason"] for move in rejected)


def test_a_fault_that_only_the_model_shows_does_not_block_the_queue(world: World, tmp_path: Path) -> None:
    """A prompt with more tokens than the model has positions: files cannot show this."""
    lake, spec = tmp_path / "lake", served(world, tmp_path, OPEN, batch_size=4)
    editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", tiny_world.records(2)), "--lake", lake)
    editflow("submit", "--subject", "Anna", "--prompt", "{}" + " is" * 300, "--target", "red", "--lake", lake)
    settled = apply_directly(spec, lake).summary["settled"]
    assert {entry: move["status"] for move in settled for entry in move["entries"]} == {
        "1.1": "applied", "1.2": "applied", "2.1": "rejected"
    }  # fmt: skip
    (reason,) = settled[-1]["reasons"]
    assert re.fullmatch(
        "cannot be edited: a prompt: it takes 3.. tokens, the model has 256 positions; shorten it", reason
    )


def test_gates_by_hand() -> None:
    gates = GatesSection()
    good = {"efficacy": 90.0, "retention": 90.0, "neighbourhood": 10.0, "perplexity": 1.15, "ability": 10.0}
    assert breaches(gates, good) == ()
    for name, worse in {
        "efficacy": 89.9,
        "retention": 0,
        "neighbourhood": 10.1,
        "perplexity": 1.2,
        "ability": 11,
    }.items():
        (line,) = breaches(gates, good | {name: worse})
        assert line.startswith(f"{name}: {worse:.4g}")
        assert breaches(GatesSection.model_validate({name: False}), good | {name: worse}) == ()
        assert breaches(gates, good | {name: float("nan")})  # NaN passes no gate
        assert breaches(gates, {other: value for other, value in good.items() if other != name}) == ()


def test_a_limit_of_zero_is_checked() -> None:
    """0 is false in Python, so the strictest gate could be ignored by mistake."""
    for nought in (0, 0.0):
        gates = GatesSection(neighbourhood=nought, ability=nought, perplexity=nought)
        assert len(breaches(gates, {"neighbourhood": 0.1, "ability": 0.1, "perplexity": 1.0})) == 3
        assert breaches(gates, {"neighbourhood": 0.0, "ability": -1.0}) == ()
    assert breaches(GatesSection(neighbourhood=False), {"neighbourhood": 99.0}) == ()  # control


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        (["requests.source=facts.jsonl"], "not a queue"),
        (["requests.count=3"], "requests.count does not apply"),
        (["seeds=[1]"], "seeds does not apply"),
        (["gates.efficacy=101"], "gates.efficacy"),
        (["gates.efficacity=1"], "did you mean 'efficacy'"),
        (["gates.efficacy=true"], "gates.efficacy: Input should be a valid number (got True)"),
        (["requests.source=queue:A B"], "use 1 to 64 of a-z"),
        (["edit.layers=[0, 9]", "edit.z_layer=9"], "out of range"),
    ],
)
def test_a_wrong_spec_gets_one_line(
    world: World, server: str, tmp_path: Path, settings: list[str], fragment: str
) -> None:
    editflow("submit", world.facts, "--lake", tmp_path / "lake")
    words = [word for setting in settings for word in ("--set", setting)]
    answer = editflow("apply", served(world, tmp_path, LOOSE), "--lake", tmp_path / "lake", *words)
    assert answer.code == 2
    assert fragment in answer.err.splitlines()[-1]
    assert Queue(Lake.open(tmp_path / "lake").files, "current").events() == []


def test_a_queue_cannot_be_run_as_a_spec(world: World, tmp_path: Path) -> None:
    answer = editflow("run", served(world, tmp_path, LOOSE), "--lake", tmp_path / "lake")
    assert (answer.code, "`editflow apply`" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ([], "give a file, or --subject"),
        (["facts.jsonl", "--subject", "Anna"], "give a file, or --subject"),
        (["--subject", "Anna", "--prompt", "{} is"], "give a file, or --subject"),
        (["--subject", "Anna", "--prompt", "Omar is", "--target", "red"], "subject 'Anna' is absent"),
        (["--subject", "Anna", "--prompt", "{} is", "--target", " "], "empty"),
        (["--subject", "Anna", "--prompt", "{} is", "--target", "red", "--was", "red"], "are both 'red'"),
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["--subject", "Anna", "--prompt", "{} is", "--target", "red", "--to", "../up"], "use 1 to 64 of a-z"),
    ],
)
def test_an_invalid_submission_is_refused(tmp_path: Path, words: list[str], fragment: str) -> None:
    answer = editflow("submit", *words, "--lake", tmp_path / "lake")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert fragment in answer.err
    assert not list(tmp_path.rglob("0000*.json"))


class _Hook(BaseHTTPRequestHandler):
    """A webhook that records what it receives."""

    def do_POST(self) -> None:
        taken = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append(taken)  # type: ignore[attr-defined]
        self.send_response(self.server.answer)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    found = HTTPServer(("127.0.0.1", 0), _Hook)
    found.taken, found.answer = [], 200  # type: ignore[attr-defined]
    threading.Thread(target=found.serve_forever, daemon=True).start()
    monkeypatch.setenv("EDITFLOW_NOTIFY", f"http://127.0.0.1:{found.server_port}/hook")
    yield found
    found.shutdown()
    found.server_close()


def test_a_webhook_is_notified_of_rejected_requests(
    world: World, server: str, tmp_path: Path, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    lake = tmp_path / "lake"
    editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", tiny_world.records(2)), "--lake", lake)
    apply(served(world, tmp_path, LOOSE), lake, "--batches", 1)
    assert hook.taken == []  # nothing was rejected
    editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", tiny_world.records(4)[2:]), "--lake", lake)
    spec = served(world, tmp_path, STRICT)
    loose = ("--set", "target_values.clamp=1e-9", "--set", "edit.batch_size=2")
    settled = apply(spec, lake, *loose)["summary"]["settled"]
    rejected = [move["entries"][0] for move in settled if move["status"] == "rejected"]
    (message,) = hook.taken
    assert "Unparseable" not in caplog.text
    assert "release current" in message["title"]
    lines = message["message"].splitlines()
    assert [line.partition(":")[0] for line in lines] == rejected != []
    assert all("efficacy: 0%, at least 1 allowed" in line for line in lines)
    rows = table("serve-releases")
    assert [row["status"] for row in rows][-len(rejected) :] == ["rejected"] * len(rejected)
    assert "data:image/svg+xml;base64," in latest("serve-gates")["serve-gates"].data


def test_the_next_run_reports_once_what_a_killed_run_did_not(
    world: World, server: str, tmp_path: Path, hook: Any
) -> None:
    """The next run reports rejected requests of a killed run, once, and only if it has an address."""
    lake, spec = tmp_path / "lake", served(world, tmp_path, OPEN)
    queue = Queue(Lake.open(lake).files, "current")
    queue.submit([replace(fact(f"s{n}"), target_true="") for n in range(MAX_LINES + 2)])
    ids = tuple(entry.id for entry in queue.entries())
    queue.append_event(ReleaseEvent("begin", now(), ids, run="gone"), 0)
    queue.append_event(ReleaseEvent("settle", now(), ids, status="rejected", reasons=("efficacy: 0%",), run="gone"), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(notifications.ADDRESSES)
        apply(spec, lake)
    assert hook.taken == []
    apply(spec, lake)
    apply(spec, lake)
    (message,) = hook.taken
    assert f"held back {MAX_LINES + 2} requests" in message["title"]
    *lines, more = message["message"].splitlines()
    assert [line.partition(":")[0] for line in lines] == list(ids[:MAX_LINES])
    assert more == "and 2 more: `editflow queue current`"


@pytest.mark.exhaustive
def test_a_webhook_that_does_not_answer_fails_no_run(
    world: World, server: str, tmp_path: Path, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answer = 500
    monkeypatch.setattr(
        "editflow.flows.orchestration.notifications._send",
        notifications._send.with_options(retries=1, retry_delay_seconds=0),
    )
    lake = tmp_path / "lake"
    editflow("submit", tiny_world.write_lines(tmp_path / "f.jsonl", tiny_world.records(1)), "--lake", lake)
    spec = served(world, tmp_path, STRICT)
    answer = editflow("apply", spec, "--lake", lake, "--set", "target_values.clamp=1e-9")
    assert answer.code == 0
    assert len(hook.taken) == 2  # one retry after the first refusal
    assert "EDITFLOW_NOTIFY: address 1 " in answer.err


def test_an_unknown_address_is_reported_before_anything_is_computed(
    world: World, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITFLOW_NOTIFY", "json://127.0.0.1 gopher://user:secret@x")
    answer = editflow("apply", served(world, tmp_path, LOOSE), "--lake", tmp_path / "lake")
    assert (answer.code, "address 2 is unknown" in answer.err) == (2, True)
    assert "secret" not in answer.err + answer.out
