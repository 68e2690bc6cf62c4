"""No secret of an address is written, shown, sent or hashed: all output of a run is searched for planted secrets."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from support import tiny_measurements
from support.tiny_world import Answer, World, editflow
from support.web_server import Served, served

from editflow.flows.orchestration import notifications
from editflow.flows.rerun import reproduce
from editflow.storage.address import PREFIX

NAMES = ("Qx7User", "Qx7Pass", "Qx7Query", "Qx7Frag", "Qx7Key", "Qx7Hub", "Qx7Cloud", "Qx7Hook", "Qx7Var")
"""Planted as user, password, value of a query, fragment, value without a name, and variables of the environment."""


@dataclass
class Left:
    """The output of commands: what they printed, and the files of a folder."""

    folder: Path
    printed: list[str] = field(default_factory=list)

    def run(self, *words: object) -> Answer:
        answer = editflow(*words)
        self.printed += [answer.out, answer.err]
        assert "Traceback" not in answer.err
        return answer

    def places(self) -> Iterator[tuple[str, bytes]]:
        """(place, bytes) of all output; the contents of compressed and columnar files too."""
        yield from ((f"output {n}", text.encode()) for n, text in enumerate(self.printed))
        for path in (path for path in self.folder.rglob("*") if path.is_file()):
            yield str(path), path.read_bytes()
            yield f"the name of {path}", str(path).encode()
            if path.suffix == ".parquet":
                yield f"rows of {path}", repr(parquet.read_table(path).to_pylist()).encode()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    yield from ((f"{path}: {name}", archive.read(name)) for name in archive.namelist())


def holding(left: Left, text: str) -> list[str]:
    return [where for where, data in left.places() if text.encode() in data]


def planted(server: Served, file: str) -> str:
    return f"http://Qx7User:Qx7Pass@{server.host}/{file}?token=Qx7Query&Qx7Key#Qx7Frag"


@pytest.fixture(scope="module")
def known(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, tuple[str, ...]]]:
    """A server that requires the planted password, and the settings of a run that reads everything from it."""
    folder = tmp_path_factory.mktemp("served")
    tiny_measurements.everything(folder)
    with served(folder, "Qx7User:Qx7Pass") as server:
        facts, texts, asked = (planted(server, name) for name in ("facts.jsonl", "references.jsonl", "sst2.jsonl"))
        yield server, (
            f"requests.source={facts}", f"requests.references={texts}", f'ability.sets={{sst2="{asked}"}}',
            "evaluation.generation_facts=1", "texts.tokens=2", "texts.answer_tokens=2", "ability.count=2",
            "ability.tokens=1", "corpus.tokens=700",
        )  # fmt: skip


def environment(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "Qx7Hub")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "Qx7Cloud")
    monkeypatch.setenv("EDITFLOW_NOTIFY", "json://user:Qx7Hook@127.0.0.1:1/")
    monkeypatch.setenv("EDITFLOW_CACHE", str(temporary / "cache"))
    (temporary / "tmp").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "tmp"))


@pytest.mark.exhaustive
def test_no_output_of_a_run_contains_a_secret_of_an_address(
    world: World,
    server: str,
    known: tuple[Served, tuple[str, ...]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment(monkeypatch, tmp_path)
    monkeypatch.setattr(notifications, "_send", notifications._send.with_options(retries=0))
    monkeypatch.chdir(tmp_path)
    web, settings = known
    left, lake = Left(tmp_path), tmp_path / "lake"
    given = [part for setting in settings for part in ("--set", setting)]
    answer = left.run("run", world.spec, *given, "--lake", lake)
    assert answer.code == 0, answer.err
    assert {path for path, login in web.seen if login} >= {"/facts.jsonl?token=Qx7Query&Qx7Key"}  # it was needed
    for words in (["report", "last", "--out", "r.html"], ["export-run", "last", "--openlineage", "--out", "o.jsonl"],
                  ["show", "last"], ["runs"], ["doctor"], ["verify"],
                  ["query", "SELECT * FROM runs"], ["query", "SELECT * FROM artifacts"]):  # fmt: skip
        left.run(*words, "--lake", lake)
    spec = tmp_path_factory.mktemp("planted") / "planted.toml"  # the user's own file, which is not searched
    spec.write_text(world.spec.read_text().replace('"facts.jsonl"', json.dumps(planted(web, "nowhere.jsonl"))))
    failing = planted(web, "nowhere.jsonl")
    refusals = [
        ["run", world.spec, "--set", f"requests.source={failing}"],
        ["run", spec, "--set", f'requests.references="{failing}"'],
        ["plan", spec, "--set", f"corpus.source={failing}"],
        ["plan", spec, "--set", f"model.source={failing}"],
        ["run", spec, "--set", f'requests.source=["{failing}"]'],
        ["run", spec, "--set", f'requests.source="{failing}'],
        ["run", spec, "--set", failing],
        ["run", spec, "--set", f"name={failing}"],
        ["run", spec, "--set", f'requests.{{source="{failing}"}}'],
        ["run", spec, failing],
        ["run", failing],
        ["compare", world.spec, "--set", f"requests.source={failing}"],
        ["tune", failing, "--requests", failing, "--budget", "1"],
        ["submit", failing],
        ["runs", "--lake", f"s3://Qx7User:Qx7Pass@{web.host}/lake"],
        ["rerun", "last"],
        ["export-run", "last"],
    ]
    for words in refusals:
        answer = left.run(*words, *(() if "--lake" in words else ("--lake", lake)))
        assert (answer.code, answer.err.count("error:")) == (2, 1), (words, answer.err)
    chain = f"simplecache::https://Qx7User:Qx7Pass@{web.host}/x?sig=Qx7Query"
    for source in (failing, chain, f"zip://a.jsonl::{failing}", "s3://Qx7User:Qx7Pass@bucket/x",
                   "hub:a/b?token=Qx7Query", f"ftp://Qx7User:Qx7Pass@{web.host}/x", f"http://Qx7User:Qx7Pass@{web.host}:99999/x",
                   f"http://Qx7User:Qx7Pass/Qx7Key@{web.host}/x", f"http:/Qx7User:Qx7Pass@{web.host}/x"):  # fmt: skip
        assert left.run("requests", "check", source).code == 2
    notifications.notify("title", "body")
    left.printed.append(json.dumps(stored(server)))
    for name in NAMES:
        assert holding(left, name) == [], name
    shown = f"http://…@{web.host}/facts.jsonl?token=…&…#…"
    kept = holding(left, json.dumps(shown)[1:-1]) + holding(left, shown)
    for where in ("started.json", "manifest.json", "rows of", "o.jsonl"):  # control: the rest of the address is there
        assert any(where in place for place in kept), where
    assert not list((tmp_path / "tmp").iterdir())


def stored(server: str) -> Any:
    """The flows, parameters, states, logs and artifacts stored by Prefect's server."""
    import httpx
    from prefect.settings import PREFECT_API_AUTH_STRING

    found: dict[str, Any] = {}
    user, _, password = str(PREFECT_API_AUTH_STRING.value()).partition(":")
    with httpx.Client(auth=(user, password)) as client:
        for what in ("flow_runs", "task_runs", "logs", "artifacts", "flow_run_states", "task_run_states"):
            answer = client.post(f"{server}/{what}/filter", json={"limit": 200}, timeout=60)
            found[what] = answer.json() if answer.status_code == 200 else []
    assert found["flow_runs"]
    assert found["task_runs"]
    return found


@pytest.mark.exhaustive
def test_a_run_with_a_secret_from_a_variable_can_be_repeated(
    world: World, server: str, known: tuple[Served, tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, tmp_path)
    monkeypatch.setenv(f"{PREFIX}PASSWORD", "Qx7Pass")
    monkeypatch.setenv(f"{PREFIX}USER", "Qx7User")
    monkeypatch.setenv(f"{PREFIX}VALUE", "Qx7Var")
    web, _ = known
    source = f"http://${{{PREFIX}USER}}:${{{PREFIX}PASSWORD}}@{web.host}/facts.jsonl?t=${{{PREFIX}VALUE}}"
    left, lake = Left(tmp_path), tmp_path / "lake"
    assert left.run("run", world.spec, "--set", f"requests.source={source}", "--lake", lake).code == 0
    assert "/facts.jsonl?t=Qx7Var" in [path for path, _ in web.seen]
    assert web.host in next(
        line for line in left.printed[1].splitlines() if f"{PREFIX}VALUE" in line and "sent" in line
    )
    seen = len(web.seen)
    answer = left.run("rerun", "last", "--lake", lake)
    assert (answer.code, len(web.seen)) == (2, seen), "nothing is sent without consent"
    assert [word for word in (web.host, f"{PREFIX}VALUE", "--download") if word not in answer.err] == []
    assert reproduce(str(lake)) is None
    assert len(web.seen) == seen
    assert left.run("rerun", "last", "--download", "--lake", lake).code == 0
    assert len(web.seen) > seen, "the control: with consent it is sent"
    seen = len(web.seen)
    assert left.run("export-run", "last", "--lake", lake, "--out", tmp_path / "run.zip").code == 2
    assert len(web.seen) == seen
    assert left.run("export-run", "last", "--download", "--lake", lake, "--out", tmp_path / "run.zip").code == 0
    monkeypatch.delenv(f"{PREFIX}PASSWORD")
    answer = left.run("requests", "check", source)
    assert (answer.code, f"{PREFIX}PASSWORD is not set" in answer.err) == (2, True)
    for name in NAMES:
        assert holding(left, name) == [], name
    assert holding(left, source), "the control: the variables' names are kept"


@pytest.mark.parametrize("name", ["HOME", "AWS_SECRET_ACCESS_KEY", "EDITFLOW_NOTIFY", PREFIX])
def test_an_address_cannot_read_variables_of_other_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrusted spec cannot send the environment variables of other programs."""
    monkeypatch.setenv(name, "Qx7Cloud")
    answer = editflow("requests", "check", f"http://127.0.0.1:1/x?y=${{{name}}}")
    assert (answer.code, "only name variables" in answer.err, "Qx7Cloud" in answer.err) == (2, True, False)
