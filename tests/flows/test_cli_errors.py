"""What the user can mend is one line that begins with "error:", exit code 2, and nothing half-written in the lake."""

from __future__ import annotations

import copy
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_world
from tiny_world import Answer, World, editflow

from storage.errors import StorageError
from storage.store import Lake

Records = list[dict[str, Any]]


def refused(answer: Answer, *fragments: str) -> None:
    """Exit code 2 and exactly one error line, which is the last, with all the fragments; no traceback."""
    assert answer.code == 2, answer
    errors = [line for line in answer.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, answer.err
    assert answer.err.splitlines()[-1] == errors[0], answer.err
    assert "Traceback" not in answer.err + answer.out
    for fragment in fragments:
        assert fragment in errors[0]


def unharmed(lake: Path, *kinds: str) -> None:
    """Whole artifacts of the given kinds at most; a run that began has an end on record."""
    if not lake.exists():
        return
    tiny_world.sound(lake)
    assert {m.kind for m in Lake.open(lake).manifests()} <= set(kinds)
    assert {run["status"] for run in editflow("runs", "--json", "--lake", lake).json} <= {"failed"}


# The spec -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        (["edit.batch_size"], ["--set 'edit.batch_size'", "key=value"]),
        (["edit.batchsize=3"], ["unknown key 'edit.batchsize'", "'batch_size'"]),
        (["edits.batch_size=3"], ["unknown key 'edits'", "'edit'"]),
        (["target_values.learning_rat=1"], ["unknown key 'target_values.learning_rat'", "'learning_rate'"]),
        (["null_space.valu=1"], ["unknown key 'null_space.valu'", "'value'"]),
        (["edit.batch_size=0"], ["edit.batch_size", "greater than 0", "got 0"]),
        (["edit.batch_size=many"], ["edit.batch_size", "'many'"]),
        (["edit.method=magic"], ["unknown method 'magic'", "alphaedit"]),
        (["edit.layers=[2, 1]"], ["must ascend"]),
        (["edit.layers=[]"], ["edit.layers"]),
        (["edit.z_layer=1"], ["z_layer 1 must not lie below"]),
        (['evaluation.metrics=["efficiency"]'], ["unknown metric 'efficiency'", "efficacy"]),
        (["contexts.count=99"], ["contexts.count = 99", "0…50"]),
        (["target_values.kl_prompt=nothing"], ["kl_prompt", "{}"]),
        (["null_space.rule=magic"], ["null_space.rule"]),
        (["null_space.value=2"], ["share in 0…1"]),
        (["name.first=x"], ["'name' is a value, not a section"]),
        (["name=A Run"], ["name"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_settings(world: World, tmp_path: Path, settings: list[str], fragments: list[str]) -> None:
    lake = tmp_path / "lake"
    parts = [part for setting in settings for part in ("--set", setting)]
    refused(editflow("run", world.spec, "--lake", lake, *parts), *fragments)
    assert not lake.exists()


def test_missing_spec_names_the_near_miss(world: World, tmp_path: Path) -> None:
    refused(editflow("run", world.folder / "tinny.toml", "--lake", tmp_path / "lake"), "no spec", "tiny.toml?")
    refused(editflow("run", tmp_path / "none.toml", "--lake", tmp_path / "lake"), "no spec", "specs/")
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("name = ", ["is not a TOML file"]),
        ('nam = "x"\n[requests]\nsource = "facts.jsonl"', ["'nam'", "'name'"]),
        ('[requests]\nsource = "facts.jsonl"', ["'name' is missing"]),
        ('name = "x"', ["'requests' is missing"]),
        ('name = "x"\nedit = 3\n[requests]\nsource = "facts.jsonl"', ["edit"]),
    ],
)
def test_spec_files(tmp_path: Path, text: str, fragments: list[str]) -> None:
    spec = tmp_path / "bad.toml"
    spec.write_text(text)
    refused(editflow("run", spec, "--lake", tmp_path / "lake"), "bad.toml", *fragments)
    assert not (tmp_path / "lake").exists()


def test_a_folder_or_binary_for_a_spec(tmp_path: Path) -> None:
    refused(editflow("run", tmp_path, "--lake", tmp_path / "lake"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    refused(editflow("run", tmp_path / "binary.toml", "--lake", tmp_path / "lake"), "binary.toml")


# Requests -------------------------------------------------------------------------------------------------------------


def rewrite(records: Records, n: int, **changes: Any) -> Records:
    records[n]["requested_rewrite"].update(changes)
    return records


def duplicate(records: Records, **changes: Any) -> Records:
    return [*records, rewrite([{**copy.deepcopy(records[1]), "case_id": 99}], 0, **changes)[0]]


REQUESTS: dict[str, tuple[Callable[[Records], list[Any]], list[str]]] = {
    "subject absent": (
        lambda r: rewrite(r, 2, prompt="nobody was born in"),
        ["line 3", "is absent from its prompt 'nobody was born in'", "{}"],
    ),
    "slot missing": (
        lambda r: rewrite(r, 2, prompt=f"{r[2]['requested_rewrite']['subject']} was born in"),
        ["line 3", "the prompt has 0 `{}`"],
    ),
    "slot doubled": (lambda r: rewrite(r, 2, prompt="{} and {} speaks"), ["line 3", "the prompt has 2 `{}`"]),
    "empty subject": (lambda r: rewrite(r, 2, subject=" "), ["line 3", "the subject is empty"]),
    "empty new target": (lambda r: rewrite(r, 2, target_new={"str": ""}), ["line 3", "new target is empty"]),
    "empty true target": (lambda r: rewrite(r, 2, target_true={"str": "  "}), ["line 3", "true target is empty"]),
    "no change": (lambda r: rewrite(r, 2, target_new=r[2]["requested_rewrite"]["target_true"]), ["line 3", "both"]),
    "target is a number": (lambda r: rewrite(r, 2, target_new=3), ["line 3", "'target_new'", "str"]),
    "duplicate": (duplicate, ["line 13", "duplicates", "line 2"]),
    "conflict": (lambda r: duplicate(r, target_new={"str": "bal"}), ["line 13", "contradicts", "line 2", "'bal'"]),
    "same id": (lambda r: [*r[:3], {**r[3], "case_id": 0}, *r[4:]], ["line 4", "id '0'", "line 1"]),
    "not JSON": (lambda r: [*r[:4], '{"case_id": 4, ', *r[5:]], ["line 5", "not JSON"]),
    "not an object": (lambda r: [*r[:4], "[1, 2]", *r[5:]], ["line 5", "must be an object, not list"]),
    "field missing": (lambda r: [{"case_id": 1}, *r], ["line 1", "'requested_rewrite' is missing"]),
    "prompts not a list": (lambda r: [{**r[0], "paraphrase_prompts": "x"}, *r[1:]], ["line 1", "paraphrase_prompts"]),
    "no requests": (lambda r: r[:0], ["holds no requests"]),
    "fewer than asked for": (lambda r: r[:5], ["holds 5 requests, 6 are asked for", "requests.count"]),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_requests(world: World, server: str, tmp_path: Path, case: str) -> None:
    change, fragments = REQUESTS[case]
    facts = tiny_world.write_lines(tmp_path / "bad.jsonl", change(tiny_world.records()))
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"requests.source={facts}"), "bad.jsonl", *fragments)
    unharmed(lake)


def test_an_array_names_the_record(world: World, server: str, tmp_path: Path) -> None:
    facts = tmp_path / "bad.json"
    facts.write_text(json.dumps(rewrite(tiny_world.records(), 2, prompt="{} {}")))
    answer = editflow("run", world.spec, "--lake", tmp_path / "lake", "--set", f"requests.source={facts}")
    refused(answer, "bad.json, record 3")


def test_good_requests_pass(world: World, copied: Path, tmp_path: Path) -> None:
    """The control: the very same file without a mistake runs."""
    facts = tiny_world.write_lines(tmp_path / "good.jsonl", tiny_world.records())
    tiny_world.run(world.spec, copied, f"requests.source={facts}")


# Sources --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "fragments"),
    [
        ("model.source=smollm2-135m-instrukt", ["no model 'smollm2-135m-instrukt'", "'smollm2-135m-instruct'"]),
        ("model.source=/nowhere/model", ["no model '/nowhere/model'"]),
        ("model.source=nobody/no-such-model", ["nobody/no-such-model", "hub"]),
        ("corpus.source=/nowhere/corpus.txt", ["no corpus '/nowhere/corpus.txt'"]),
        ("requests.source=nowhere.jsonl", ["no request file nowhere.jsonl"]),
        ("model.device=warp", ["warp"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_sources(world: World, server: str, tmp_path: Path, setting: str, fragments: list[str]) -> None:
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", setting), *fragments)
    unharmed(lake)


def test_an_architecture_without_declaration(world: World, server: str, tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, is_decoder=True
    )
    BertLMHeadModel(config).save_pretrained(tmp_path / "bert")
    lake = tmp_path / "lake"
    answer = editflow("run", world.spec, "--lake", lake, "--set", f"model.source={tmp_path / 'bert'}")
    refused(answer, "architecture 'bert' has no declaration", "llama")
    unharmed(lake)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_folder_that_lacks_a_file(world: World, server: str, tmp_path: Path, missing: str) -> None:
    tiny_world.save_model(tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={tmp_path / 'model'}"), "model")
    unharmed(lake)


@pytest.mark.parametrize("settings", [("edit.layers=[0, 9]", "edit.z_layer=9"), ("edit.z_layer=4",)])
def test_a_layer_out_of_range(world: World, server: str, tmp_path: Path, settings: tuple[str, ...]) -> None:
    lake = tmp_path / "lake"
    parts = [part for setting in settings for part in ("--set", setting)]
    refused(editflow("run", world.spec, "--lake", lake, *parts), "out of range", "layers 0…3")
    unharmed(lake, "model")


def changed_model(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The tiny model with its tensors changed in place."""
    from safetensors.torch import load_file, save_file

    tiny_world.save_model(folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(world: World, server: str, tmp_path: Path, value: float) -> None:
    name = "model.layers.1.mlp.down_proj.weight"

    def spoil(tensors: dict[str, Any]) -> None:
        tensors[name][0, 0] = value

    model, lake = changed_model(tmp_path / "model", spoil), tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}"), name, "NaN or infinity")
    unharmed(lake)


def test_activations_that_are_not_finite(world: World, server: str, tmp_path: Path) -> None:
    """Finite weights whose products overflow: nothing made of NaN may enter the lake."""

    def enlarge(tensors: dict[str, Any]) -> None:
        for name in tensors:
            if name.startswith("model.layers.1.mlp."):
                tensors[name] *= 1e20

    model, lake = changed_model(tmp_path / "model", enlarge), tmp_path / "lake"
    answer = editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}")
    refused(answer)
    assert "NaN" in answer.err or "not finite" in answer.err
    unharmed(lake, "model", "requests", "documents", "tokens")


def test_a_model_file_cut_short(world: World, server: str, tmp_path: Path) -> None:
    model, lake = tmp_path / "model", tmp_path / "lake"
    tiny_world.save_model(model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-900])
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}"), str(model))
    unharmed(lake)


# The corpus -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows", "fragments"),
    [
        ("empty.jsonl", [], []),
        ("blank.jsonl", ["", ""], ["0 documents"]),
        ("short.jsonl", [{"text": "the city"}] * 9, ["0 documents", "50 characters", "corpus.min_characters"]),
        ("one.jsonl", [{"text": "the city of " * 20}], ["1 documents"]),
        ("broken.jsonl", [{"text": "the city of " * 20}, '{"text": ', {"text": "x"}], []),
        ("columns.jsonl", [{"body": "the city of " * 20}] * 3, ["no text column 'text'", "body"]),
        ("numbers.jsonl", [{"text": 3}] * 3, ["'text'"]),
        ("corpus.pdf", ["%PDF"], ["unknown format", ".jsonl"]),
        ("corpus.xml", ["<mediawiki><page>"], ["not a whole MediaWiki export"]),
        ("corpus.parquet", ["PAR"], []),
    ],
)
def test_corpora(
    world: World,
    server: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    name: str,
    rows: list[Any],
    fragments: list[str],
) -> None:
    corpus, lake = tiny_world.write_lines(tmp_path / name, rows), tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"corpus.source={corpus}"), name, *fragments)
    unharmed(lake, "model", "requests")
    assert not [r.getMessage() for r in caplog.records if not r.name.startswith("prefect")], "a library logs beside us"


def test_a_corpus_too_small_for_the_layer_is_a_warning_with_the_numbers(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", "import sys; from flows.cli import main; main(sys.argv[1:])"]
    command += ["run", str(world.spec), "--lake", str(tmp_path / "lake"), "--set", "corpus.tokens=60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "second moment rests on" in line]
    assert "60 tokens for 64 dimensions" in warning
    assert "corpus.tokens above 640" in warning
    assert "Traceback" not in done.stderr


def test_a_threshold_that_leaves_no_null_space(world: World, copied: Path) -> None:
    answer = editflow(
        "run", world.spec, "--lake", copied, "--set", "null_space.rule=absolute", "--set", "null_space.value=0"
    )
    refused(answer, "no eigenvalue under the threshold", "layer 0")
    tiny_world.sound(copied)


# The lake -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/lake", "/sys/lake"])
def test_a_lake_that_cannot_be_written(world: World, tmp_path: Path, place: str) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    lake = {"file": file, "below a file": file / "lake"}.get(place, Path(place))
    refused(editflow("run", world.spec, "--lake", lake), str(lake))
    assert file.read_text() == "not a folder"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes inside the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_a_payload(world: World, server: str, reference, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with largest_file(20_000):
        answer = editflow("run", world.spec, "--lake", lake)
    refused(answer, "no room for", "payload-")
    unharmed(lake, *{m.kind for m in Lake.open(lake).manifests()} - {"second_moment"})
    # With room again the run goes on from there and ends as any other.
    there = tiny_world.digests(lake)
    record = tiny_world.run(world.spec, lake)
    assert {use["artifact"] for use in record["uses"] if use["how"] == "reused"} == set(there)
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`small_disk(kib)`: a real file system with that much room."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(kib: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        return place

    try:
        yield mount
    finally:
        if place.is_mount():
            subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("kib", [100, 300, 500])
def test_a_full_disk(
    world: World, server: str, reference, small_disk: Callable[[int], Path], tmp_path: Path, kib: int
) -> None:
    lake = small_disk(kib) / "lake"
    answer = editflow("run", world.spec, "--lake", lake)
    refused(answer)
    assert "room" in answer.err or "space" in answer.err.lower()
    tiny_world.sound(lake)
    assert tiny_world.digests(lake).items() <= tiny_world.digests(reference.lake).items()


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "fragments"),
    [
        ("COPY artifacts TO '{folder}/out.csv'", ["SELECT"]),
        ("COPY (SELECT 1) TO '{folder}/out.parquet'", ["SELECT"]),
        ("SELECT * FROM read_csv('{folder}/secret.csv')", ["read_csv"]),
        ("SELECT * FROM '{folder}/secret.csv'", ["secret.csv"]),
        ("SELECT * FROM glob('{folder}/*')", ["glob"]),
        ("SELECT content FROM read_text('{folder}/secret.csv')", ["read_text"]),
        ("ATTACH '{folder}/new.duckdb'", ["SELECT"]),
        ("CREATE TABLE t AS SELECT 1", ["SELECT"]),
        ("DELETE FROM runs", ["SELECT"]),
        ("INSTALL httpfs", ["SELECT"]),
        ("PRAGMA database_list", ["SELECT"]),
        ("SET enable_external_access = true", ["SELECT"]),
        ("SELECT 1; SELECT 2", ["one SELECT"]),
        ("SELECT getenv('HOME')", ["getenv"]),
        ("SELECT * FROM artefacts", ["artefacts", "artifacts"]),
        ("SELECT nothing FROM artifacts", ["nothing"]),
        ("SELEC 1", []),
        ("", []),
    ],
)
def test_sql(reference, tmp_path: Path, sql: str, fragments: list[str]) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    refused(editflow("query", sql.format(folder=tmp_path), "--lake", reference.lake), *fragments)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_sql_that_only_reads_passes(reference) -> None:
    """The control of the test above."""
    assert editflow("query", "SELECT count(*) AS n FROM artifacts", "--lake", reference.lake).code == 0


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["show", "nobody"], ["0 runs match 'nobody'"]),
        (["show", "tinny"], ["0 runs match 'tinny'", "'tiny'"]),
        (["ask", "nobody", "the city"], ["0 runs match 'nobody'"]),
        (["ask", "tiny", "  "], ["prompt is empty"]),
        (["ask", "tiny", "the city", "--tokens", "many"], ["many"]),
        (["ask", "tiny", "the city", "--tokens", "0"], ["tokens"]),
        (["lineage", "ffffffffffff"], ["ffffffffffff"]),
        (["lineage", "f" * 64], ["f" * 64]),
        (["lineage", "abc"], ["'abc'", "6 or more digits"]),
        (["lineage", "../../x"], ["../../x"]),
        (["lineage", "0" * 12, "--up", "--down"], ["--up and --down"]),
        (["runs", "--lake", "/nowhere/lake"], ["no lake at /nowhere/lake"]),
        (["show", "tiny", "--jsn"], ["--jsn"]),
        (["shwo", "tiny"], ["shwo"]),
        (["run"], ["SPEC"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_questions(reference, monkeypatch: pytest.MonkeyPatch, arguments: list[str], fragments: list[str]) -> None:
    monkeypatch.setenv("EDITFLOW_LAKE", str(reference.lake))
    refused(editflow(*arguments), *fragments)


def test_asking_a_failed_run(world: World, server: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", "edit.z_layer=7"))
    refused(editflow("ask", "tiny", "the city", "--lake", lake), "failed", "no edited model")
    (row,) = editflow("runs", "--json", "--lake", lake).json
    assert (row["status"], "out of range" in row["message"]) == ("failed", True)
    assert editflow("show", "tiny", "--lake", lake).code == 0


def test_an_unforeseen_error_is_not_dressed_up(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a defect of the program is no user's mistake and keeps its traceback."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("storage.runs.Runs.all", broken)
    with pytest.raises(ZeroDivisionError):
        editflow("runs", "--lake", reference.lake)


def test_the_process_itself(world: World, tmp_path: Path) -> None:
    """The same through the real entry point: code 2, one line on standard error, nothing on standard output."""
    command = [str(Path(sys.executable).parent / "editflow"), "run", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no spec ")
    assert done.stderr.count("\n") == 1


def test_the_errors_of_the_archive_are_caught(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StorageError("made up [for this] test")

    monkeypatch.setattr("storage.runs.Runs.all", broken)
    refused(editflow("runs", "--lake", reference.lake), "made up [for this] test")


def test_messages_name_commands_that_exist() -> None:
    """Every `editflow …` in the sources that users are told to type is a command."""
    import re

    from flows.cli import app

    root = Path(__file__).parents[2]
    sources = [path for room in ("editing", "flows", "storage", "tasks") for path in (root / room).rglob("*.py")]
    named = {word for path in sources for word in re.findall(r"`editflow (\w+)", path.read_text(encoding="utf-8"))}
    assert named > {"fetch", "run", "runs"}
    assert named <= set(app)
