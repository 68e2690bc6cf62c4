"""The text of an address never contains its secrets, and opening it uses them all."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from editflow.storage.address import PREFIX, Address, expand_variables, redact, redact_text, wrap_addresses

SECRET = "Qx7"  # noqa: S105
CUT = {
    "http://Qx7:Qx7@host/facts.jsonl?token=Qx7&download=true#Qx7": "http://…@host/facts.jsonl?token=…&download=…#…",
    "https://Qx7@host/x": "https://…@host/x",
    "HTTPS://:Qx7@host/x": "HTTPS://…@host/x",
    "http://user:Qx7::Qx7@host/x": "http://…@host/x",
    "http://user:Qx7@Qx7@host/x": "http://…@host/x",
    "http://user:Qx7/Qx7@host/x": "http://…@host/x",
    "http://user:Qx7#Qx7@host/x": "http://…@host/x",
    "http://user:Qx7?Qx7@host/x": "http://…@host/x",
    "http://u:Qx7%40host/x": "http://…@host/x",
    "http://u%3aQx7%40host/x": "http://…@host/x",
    "http://user:Qx7/x": "http://user:…/x",
    "https//u:Qx7@host/x": "https//…@host/x",
    "https;//u:Qx7@host/x": "https;//…@host/x",
    "http://us/er:Qx7@host/x": "http://us/…@host/x",
    "http://host/x&token=Qx7": "http://host/x&token=…",
    "\ufeffhttp://u:Qx7@host/x": "\ufeffhttp://…@host/x",
    "view-source:http://u:Qx7@host/x": "view-source:http://…@host/x",
    "git_lfs://u:Qx7@host/x": "git_lfs://…@host/x",
    "\ufeffhttp://u:Q x7Qx7@host/x": "\ufeffhttp://…@host/x",
    "http://us/er:Qx7@host.example": "http://us/…@host.example",
    "http://u:Qx7@[::1]:80/x": "http://…@[::1]:80/x",
    "http://u:Qx7@host:99999/x": "http://…@host:99999/x",
    "http:/u:Qx7@host/x": "http:/…@host/x",
    "//u:Qx7@host/x": "//…@host/x",
    "u:Qx7@host/x": "…@host/x",
    " http://u:Qx7@host/x": " http://…@host/x",
    "http://host/x?Qx7": "http://host/x?…",
    "http://host/x?Qx7==": "http://host/x?…",
    "http://host/x?a=b;c=Qx7": "http://host/x?a=…;c=…",
    "http://host/x?to\nken=Qx7": "http://host/x?…",
    "http://host?sig=Qx7::Qx7": "http://host?sig=…",
    "http://host/x;session=Qx7/y": "http://host/x;session=…/y",
    "s3://Qx7:Qx7@bucket/x": "s3://…@bucket/x",
    "simplecache::https://u:Qx7@host/x": "simplecache::https://…@host/x",
    "zip://a.jsonl::https://host/x.zip?sig=Qx7": "zip://a.jsonl::https://host/x.zip?sig=…",
    r"https://host\@u:Qx7@evil/x": "https://…@evil/x",
    r"https:\\u:Qx7@host\x": r"https:\\…@host\x",
    r"//host\@u:Qx7@evil/x": "//…@evil/x",
    "me@corp.example:Qx7@host/x": "…@host/x",
    "hub:org/name?token=Qx7": "hub:org/name?token=…",
    "hf_Qx7Qx7Qx7@org/name": "…@org/name",
    f"http://u:${{{PREFIX}A}}@host/x?t=${{{PREFIX}B}}&s=Qx7${{{PREFIX}C}}": (
        f"http://…:${{{PREFIX}A}}@host/x?t=${{{PREFIX}B}}&s=…"
    ),
}
SAME = (
    "facts.jsonl", "a b/c#d?.jsonl", "a:b.jsonl", "a::b", "C:\\x\\y", "org/name@revision",
    "hub:org/name:config:split@rev",
    "wikipedia-sample", "queue:current", "https://host:80/@scope/x@2/y", "s3://bucket/x", "abfs://container@account/x",
    "http://host:80/wiki/Foo:Bar@Baz", "http://host:PORT/x", "https://host:$PORT/x", "zip://a%40b.jsonl::facts.zip",
    "hdfs://nameservice:abc/x", "file:///a/b", "memory://x", "http://[::1/x", "http://", "~/x", f"http://${{{PREFIX}A}}:${{{PREFIX}B}}@host/x",
)  # fmt: skip


@dataclass(frozen=True)
class Holder:
    place: Address


class Model(BaseModel):
    place: Address
    others: dict[str, Address] = {}


@pytest.mark.parametrize("whole", CUT)
def test_the_redacted_text_has_no_secret_in_any_form(whole: str) -> None:
    address = Address(whole)
    assert str(address) == CUT[whole]
    assert address.full == whole  # control: opening uses the secrets
    assert address.is_redacted is False
    assert Address(str(address)) == address, "redaction is idempotent"
    made = Model(place=whole, others={"a": whole})
    # Libraries pass objects to other processes as pickles; these bytes are created here.
    turned = [f"{address}", repr(address), "".join([address]), json.dumps([address]), repr(Holder(address)),
              address + "",
              str(asdict(Holder(address))), str(copy.deepcopy([address])), repr(made), made.model_dump_json(),
              str(made.model_dump(mode="json")), repr(pickle.loads(pickle.dumps(address)).full)]  # fmt: skip  # noqa: S301 - bytes made here
    assert not [text for text in turned if SECRET in text]
    assert SECRET.encode() not in pickle.dumps(address)
    assert (made.place.full, made.others["a"].full, copy.deepcopy(address).full) == (whole, whole, whole)


@pytest.mark.parametrize("text", SAME)
def test_a_text_without_secrets_is_unchanged(text: str) -> None:
    assert (str(Address(text)), Address(text).is_redacted) == (text, False)


def test_a_recorded_address_is_recognised_as_redacted() -> None:
    redacted = [shown for shown in CUT.values() if not shown.endswith("#…")]
    assert [shown for shown in redacted if not Address(shown).is_redacted] == []
    assert not Address("http://host/x#…").is_redacted, "a fragment is never sent"


def test_the_error_for_a_wrong_type_shows_no_secret() -> None:
    with pytest.raises(ValidationError) as error:
        Model.model_validate(wrap_addresses({"place": ["http://u:Qx7@host/x"]}))
    assert SECRET not in str(error.value)


def test_addresses_in_a_sentence_are_redacted() -> None:
    message = (
        "404 for url: http://u:Qx7@h/x?a=Qx7, (https://h/y?z=Qx7). Retries with url: /x?tok=Qx7 (Caused by nothing)"
    )
    cut = "404 for url: http://…@h/x?a=…, (https://h/y?z=…). Retries with url: /x?… (Caused by nothing)"
    assert redact_text(message) == redact_text(cut) == cut
    address = Address("http://user:Qx7%20Qx7@host/x?t=Qx7Qx7")
    assert SECRET not in address.without_secrets("b'Qx7 Qx7' and Qx7Qx7 and Qx7%20Qx7")


@pytest.mark.parametrize("place", [r"https://host\@u:Qx7@evil/x", r"https://host\\@u:Qx7@evil/x",
    r"https:\\u:Qx7@host/x", "u:Qx7@host/x", "me@corp.example:Qx7@host/x", "u:Qx7@host:80", "u:Qx7@data.example.org",
    "u:Qx7@localhost", "u:Qx7@[::1]/x", "u.v:Qx7@Qx7@host/x", "u:Qx7@host:/path", "//u:Qx7@host/x", "https//u:Qx7@host",
    "facts.jsonl?token=Qx7", "http://u:Qx7%40host/x"])  # fmt: skip
def test_misspelt_addresses_in_a_sentence_are_redacted(place: str) -> None:
    for sentence in (f"no file {place}: repair it", f"bad '{place}'", f"({place}), and so on", f"x={place}"):
        assert SECRET not in redact_text(sentence)


@pytest.mark.parametrize("sentence", ["Info: mail@{} is a", "tau: 0.02 @ layer 5", "hub:name:config@v1.2", "12:30@noon",
    "hub:org/name:config:split@rev", "me@corp.example: no", "a:b@c"])  # fmt: skip
def test_a_sentence_that_only_resembles_an_address_is_unchanged(sentence: str) -> None:
    assert redact_text(sentence) == sentence


def test_the_name_of_a_local_file_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("data:v1@2024/facts.jsonl", "u:v@w/facts.jsonl", "facts?v=1.jsonl", "hf_12345678.jsonl")
    assert [name for name in names if str(Address(name)) == name] == [], "the control: no such file exists"
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
        assert str(Address(name)) == name
    Path("https:/u:Qx7@h").mkdir(parents=True)
    assert SECRET not in str(Address("https:/u:Qx7@h")), "a network scheme is not the name of a file"


def test_only_opening_an_address_expands_its_variables() -> None:
    address = Address(f"http://${{{PREFIX}A}}@host/x?t=${{{PREFIX}B}}")
    assert (
        expand_variables(address, {f"{PREFIX}A": "a@b:/", f"{PREFIX}B": "c%2Fd"}) == "http://a%40b%3A%2F@host/x?t=c%2Fd"
    )
    for environment in ({}, {f"{PREFIX}A": "a"}, {f"{PREFIX}A": "a", f"{PREFIX}B": ""}):
        with pytest.raises(ValueError, match="is not set"):
            expand_variables(address, environment)
    assert expand_variables(Address("a${HOME}b.jsonl"), {"HOME": "x"}) == "a${HOME}b.jsonl"  # a file name


@pytest.mark.parametrize("text", ["listens at http://127.0.0.1:4200…", "http://127.0.0.1:4200[/] is"])
def test_a_port_in_a_sentence_is_unchanged(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "piece", ["x", "a::", "a-", "hf_", "a@", "/", "http://", "?a=", "${", "a:b@", "\\", ":", ".", "&a="]
)
def test_redaction_takes_linear_time(piece: str) -> None:
    """Quadratic time would be hours here, and exceed the time limit of the test."""
    text = piece * (1_000_000 // len(piece))
    for one in (text, f"http://h/{text}", f"http://{text}"):
        assert len(redact(one)) <= 2 * len(one)
        assert len(redact_text(one)) <= 2 * len(one)
