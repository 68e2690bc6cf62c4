"""A spec, a setting or a request that cannot be run is one line that names the place and the remedy."""

from __future__ import annotations

import copy
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.error_checks import refused, unharmed
from support.tiny_world import World, editflow

from editflow.flows.spec.loading import load_spec

Records = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        (["edit.batch_size"], ["--set 'edit.batch_size'", "key=value"]),
        (["edit.batchsize=3"], ["unknown key 'edit.batchsize'", "'batch_size'"]),
        (["edits.batch_size=3"], ["unknown key 'edits'", "'edit'"]),
        (["target_values.learning_rat=1"], ["unknown key 'target_values.learning_rat'", "'learning_rate'"]),
        (["null_space.valu=1"], ["unknown key 'null_space.valu'", "'value'"]),
        (["edit.batch_size=0"], ["edit.batch_size", "greater than or equal to 1", "got 0"]),
        (["edit.batch_size=true"], ["edit.batch_size is true or false", "a number"]),
        (["edit.layers=[true, 2]"], ["edit.layers is true or false"]),
        (["target_values.clamp=false"], ["target_values"]),
        (["target_values.steps=true"], ["target_values.steps is true or false"]),
        (["gates.efficacy=true"], ["gates.efficacy", "valid number"]),
        (["edit.batch_size=many"], ["edit.batch_size", "'many'"]),
        (["edit.method=magic"], ["unknown method 'magic'", "alphaedit"]),
        (["edit.alpha=10"], ["edit.alpha is no option of alphaedit", "remove it", "memit"]),
        (["edit.previous_keys=false"], ["edit.previous_keys is no option of alphaedit", "memit"]),
        (["edit.ridge=0"], ["edit.ridge = 0", "alphaedit needs it above 0"]),
        (["edit.method=memit", "edit.ridge=-1"], ["edit.ridge", "negative"]),
        (["edit.method=memit", "edit.alpha=0"], ["edit.alpha", "above 0"]),
        (["edit.method=memit", "edit.keep_fraction=0.5"], ["edit.keep_fraction is no option of memit", "(rect)"]),
        (["edit.method=rect", "edit.keep_fraction=0"], ["edit.keep_fraction = 0", "above 0"]),
        (["edit.method=prune", "edit.log_base=1"], ["edit.log_base = 1", "above 1"]),
        (["edit.method=rome", "edit.batch_size=1"], ["rome edits one layer, not [0, 1, 2]", "edit.layers"]),
        (["edit.method=rome", "edit.layers=[1]", "edit.batch_size=1"], ["edit.z_layer = 2", "edit.layers = [1]"]),
        (["edit.method=rome", "edit.layers=[2]"], ["one fact at a time, not 2", "edit.batch_size = 1"]),
        (["edit.method=rome", "edit.layers=[2]", "edit.batch_size=1", "edit.alpha=9"], ["no option of rome", "memit"]),
        (["edit.method=ft", "edit.ridge=1"], ["edit.ridge is no option of ft", "alphaedit, memit"]),
        (["edit.method=ft", "edit.anchor=true"], ["edit.anchor is no option of ft"]),
        (["edit.method=ft", "edit.max_change=0"], ["edit.max_change = 0", "above 0"]),
        (["edit.steps=5"], ["edit.steps is no option of alphaedit", "(ft)"]),
        (["edit.protected_energy=1"], ["edit.protected_energy = 1", "below 1"]),
        (["edit.layers=[2, 1]"], ["must ascend"]),
        (["edit.layers=[]"], ["edit.layers"]),
        (["edit.z_layer=1"], ["z_layer 1", "below"]),
        (['evaluation.metrics=["efficiency"]'], ["unknown metric 'efficiency'", "efficacy"]),
        (["contexts.count=99"], ["contexts.count = 99", "0…50"]),
        (["target_values.kl_prompt=nothing"], ["kl_prompt", "{}"]),
        (["null_space.rule=magic"], ["null_space.rule"]),
        (["null_space.value=2"], ["a share above 0"]),
        (["null_space.value=0"], ["choose a value above 0"]),
        (["null_space.rule=absolute", "null_space.value=0"], ["choose a value above 0"]),
        (["name.first=x"], ["'name' is a value, not a section"]),
        (["name=A Run"], ["name"]),
        ([f"name={'a' * 65}"], ["name", "at most 64"]),
        (["edit=5"], ["edit is a section, not a value", "edit.method"]),
        (["target_values=5"], ["target_values is a section, not a value: set a key of it, such as target_values."]),
        (["edit.layers=[4,5"], ["--set 'edit.layers=[4,5'", "neither TOML nor plain text"]),
        (['name="demo'], ["neither TOML nor plain text"]),
        (["edit..ridge=1"], ["--set 'edit..ridge=1'", "a part of the key is empty"]),
        (["edit.=1"], ["a part of the key is empty"]),
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
    refused(editflow("run", tmp_path, "--lake", tmp_path / "lake"), str(tmp_path), "is a folder")
    (tmp_path / "file").touch()
    refused(editflow("run", tmp_path / "file" / "x.toml", "--lake", tmp_path / "lake"), "cannot be read: Not a dir")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    refused(editflow("run", tmp_path / "binary.toml", "--lake", tmp_path / "lake"), "binary.toml")


def test_a_spec_without_permission(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def denied(*_: object, **__: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(
        "editflow.flows.console.input_files._content", denied
    )  # permissions on disk do not stop an administrator
    refused(editflow("run", world.spec, "--lake", tmp_path / "lake"), str(world.spec), "read: Permission denied")


def test_a_tilde_in_a_request_file_is_expanded(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny_world.write_lines(tmp_path / "facts.jsonl", tiny_world.records())
    assert load_spec(world.spec, ["requests.source=~/facts.jsonl"]).requests.source == str(tmp_path / "facts.jsonl")
    nobody = load_spec(world.spec, ["requests.source=~no-such-user/facts.jsonl"]).requests.source
    assert str(nobody) == "~no-such-user/facts.jsonl"


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
    "too deep": (lambda r: [*r[:4], '{"x": ' + "[" * 100_000, *r[5:]], ["line 5", "nested too deeply"]),
    "half a character": (lambda r: rewrite(r, 2, subject="\ud800"), ["line 3", r"'\ud800' holds half a character"]),
    "contradiction in other words": (
        lambda r: duplicate(r, prompt="of {} we say", target_new={"str": "bal"}),
        ["line 13", "contradicts", "line 2", "'bal'"],
    ),
    "not an object": (lambda r: [*r[:4], "[1, 2]", *r[5:]], ["line 5", "must be an object"]),
    "field missing": (lambda r: [{"case_id": 1}, *r], ["line 1", "match no data set", "it has case_id"]),
    "prompts not a list": (lambda r: [{**r[0], "paraphrase_prompts": "x"}, *r[1:]], ["line 1", "paraphrase_prompts"]),
    "no requests": (lambda r: r[:0], ["holds no requests"]),
    "fewer than asked for": (lambda r: r[:5], ["holds 5 requests", "requests.count"]),
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


def test_valid_requests_are_accepted(world: World, copied: Path, tmp_path: Path) -> None:
    """The control: the very same file without a mistake runs."""
    facts = tiny_world.write_lines(tmp_path / "good.jsonl", tiny_world.records())
    tiny_world.run(world.spec, copied, f"requests.source={facts}")
