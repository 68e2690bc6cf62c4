"""General ability: questions from files of every format, answers as rows, and errors for bad files."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.editing.errors import EditingError, InvalidCase, InvalidOption
from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.ability.modes import MODES
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import query
from editflow.tasks.errors import BadRecord, TaskError, UnknownSource
from editflow.tasks.models.model_identity import identify
from editflow.tasks.stages.ability import (
    ABILITY,
    AbilitySettings,
    ability_scores,
    cases_table,
    load_cases,
    read_cases,
    summarise_ability,
)
from editflow.tasks.stages.settings import recipe

ROWS = [{"sentence": f"film number {n} is good", "label": n % 2, "idx": 10 * n} for n in range(6)]
NAMES = ["negative", "positive"]


def texts(cases: list[AbilityCase]) -> set[tuple[str, str, str]]:
    return {(case.case_id, case.prompt.splitlines()[0], case.label) for case in cases}


EXPECTED = {(str(10 * n), f"Review: film number {n} is good", NAMES[n % 2]) for n in range(6)}


def write_all_formats(folder: Path) -> dict[str, str]:
    """{format: source} of the same records in every format."""
    import datasets

    lines = tiny_world.write_lines(folder / "sst2.jsonl", ROWS)
    (folder / "sst2.json").write_text(json.dumps(ROWS, indent=1))
    (folder / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.read_bytes().replace(b"\n", b"\r\n\r\n"))
    (folder / "sst2.csv").write_text(
        "sentence,label,idx\n" + "".join(",".join(map(str, r.values())) + "\n" for r in ROWS)
    )
    with gzip.open(folder / "sst2.jsonl.gz", "wb") as file:
        file.write(lines.read_bytes())
    features = {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=NAMES)}
    labelled = datasets.Features({**features, "idx": datasets.Value("int32")})
    table = datasets.Dataset.from_list(ROWS, features=labelled)
    (folder / "hub").mkdir()
    table.to_parquet(folder / "hub" / "validation.parquet")
    table.select(range(2)).to_parquet(folder / "hub" / "test.parquet")
    return {
        "JSON lines": str(lines),
        "array": str(folder / "sst2.json"),
        "CSV": str(folder / "sst2.csv"),
        "marked": str(folder / "marked.jsonl"),
        "packed": str(folder / "sst2.jsonl.gz"),
        "URL": f"file://{lines}",
        "Parquet": str(folder / "hub" / "validation.parquet"),
        "hub": f"hub:{folder / 'hub'}",
        "split": f"hub:{folder / 'hub'}::validation",
    }


def test_every_file_format_gives_the_same_questions(tmp_path: Path) -> None:
    sources = write_all_formats(tmp_path)
    for form, source in sources.items():
        assert texts(load_cases("sst2", source)) == EXPECTED, form
    assert len(load_cases("sst2", f"hub:{tmp_path / 'hub'}::test")) == 2  # the split matters
    with pytest.raises(BadRecord, match="hub"):
        load_cases("sst2", f"hub:{tmp_path / 'hub'}::train")


def test_a_source_with_other_label_names_is_refused(tmp_path: Path) -> None:
    """Its numeric labels are valid, but only the names show that they are swapped."""
    import datasets

    rows = [{"sentence1": "a", "sentence2": "b", "label": 0}]
    text = datasets.Value("string")
    for names in (["entailment", "not_entailment"], ["not_entailment", "entailment"], ["no", "yes"]):
        features = datasets.Features({"sentence1": text, "sentence2": text, "label": datasets.ClassLabel(names=names)})
        path = str(tmp_path / f"{names[0]}.parquet")
        datasets.Dataset.from_list(rows, features=features).to_parquet(path)
        if names[0] == "no":
            with pytest.raises(InvalidCase, match=r"no.parquet, record 1: label 'no' is none of rte's"):
                load_cases("rte", path)
        else:
            (case,) = load_cases("rte", path)
            assert case.label == {"entailment": "Yes", "not_entailment": "No"}[names[0]]


GOOD = json.dumps(ROWS[0]).encode()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", InvalidOption, "x.jsonl holds 0 records"),
        (b"\n \n", InvalidOption, "x.jsonl holds 0 records"),
        (b"[]", InvalidOption, "x.jsonl holds 0 records"),
        (GOOD + b"\n" + GOOD[:20], BadRecord, "x.jsonl, line 2: not JSON .*; fix the line or remove it"),
        (b"[" + GOOD + b",\n", BadRecord, "x.jsonl, record 2: not JSON"),
        (b'[1, {"sentence": 2}]', InvalidCase, "x.jsonl, record 1: a record of sst2 must be an object"),
        (GOOD + b"\n\n" + b'{"sentence": "x"}', InvalidCase, "x.jsonl, line 3: field 'label' is missing"),
        (GOOD.replace(b'"label": 0', b'"label": 3'), InvalidCase, "x.jsonl, line 1: label 3 is none of sst2's"),
        (GOOD + b"\n" + "film schön".encode("latin-1"), BadRecord, "x.jsonl, line 2: not UTF-8"),
        ("x".encode("utf-16"), BadRecord, "x.jsonl, line 1: not UTF-8"),
        (b"[" * 200_000, BadRecord, "x.jsonl, record 1: nested too deeply"),
        (GOOD + b"\n" + GOOD, InvalidCase, "x.jsonl, line 2: id '0' is already used at .*x.jsonl, line 1"),
    ],
)
def test_the_error_for_a_bad_file_is_one_line(
    content: bytes, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_bytes(content)
    with pytest.raises(error, match=rf"^{message}[^\n]*$"):
        load_cases("sst2", "x.jsonl")


def test_the_error_for_a_missing_or_damaged_source_is_one_line(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD * 100)
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + b"x" * 40)
    for source, error, message in (
        ("nowhere.jsonl", UnknownSource, "no file .*nowhere.jsonl: give a path, a URL or hub:NAME"),
        ("nowhere.parquet", UnknownSource, "no file .*nowhere.parquet"),
        (".", UnknownSource, "no file"),
        ("cut.jsonl.gz", BadRecord, "cut.jsonl.gz: cannot be read to its end"),
        ("bad.parquet", BadRecord, "bad.parquet: not Parquet"),
    ):
        with pytest.raises(error, match=rf"^[^\n]*{message}[^\n]*$"):
            load_cases("sst2", str(tmp_path / source))
    with pytest.raises(UnknownSource, match=r"^no file nonsense://x \([^\n]+\): give"):
        load_cases("sst2", "nonsense://x")
    with pytest.raises(BadRecord, match="^hub:"):
        load_cases("sst2", f"hub:{tmp_path / 'nothing here'}")
    assert issubclass(BadRecord, TaskError)
    assert issubclass(InvalidCase, EditingError)


def test_the_id_of_questions_depends_on_their_content_alone(tmp_path: Path) -> None:
    cases = load_cases("sst2", write_all_formats(tmp_path)["array"], count=4, shots=2, seed=3)
    lake = Lake.open(tmp_path / "lake")
    imported = cases_table(cases, {"sst2": "here"})
    assert imported.id == cases_table(cases, {"sst2": "elsewhere"}).id
    assert cases_table(cases[:-1], {}).id != imported.id
    assert cases_table([*cases[:-1], replace(cases[-1], label="negative positive")], {}).id != imported.id
    stored = imported.store(lake)
    assert read_cases(lake, stored.id) == cases
    assert lake.manifest(stored.id).about == {"sources": {"sst2": "here"}}


def test_ids_do_not_change() -> None:
    case = AbilityCase("rte", "7", "Is it so?", ("Yes", "No"), "Yes")
    assert cases_table([case], {}).id[:16] == "6a53094ba5516df8"
    assert ABILITY.id(AbilitySettings.of(), {"state": "a" * 64, "cases": "b" * 64})[:16] == "dc259a5fd077fc82"


def test_only_generation_has_a_token_limit() -> None:
    assert recipe(AbilitySettings.of(["likelihood"], 3)) == {"ways": ("likelihood",)}
    assert recipe(AbilitySettings.of(["generation"], 3)) == {"ways": ("generation",), "tokens": 3}
    with pytest.raises(InvalidOption, match="choose one or both"):
        AbilitySettings.of(["guess"])


WORDS = ("city", "river", "said")
CASES = [
    AbilityCase(name, str(n), f"the {word} of {word} is", ("speaks", "lives"), ("speaks", "lives")[n % 2])
    for name in ("rte", "cola")
    for n, word in enumerate(WORDS)
]


def test_answers_of_a_state_are_stored_and_summarised(world: World, tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    state = identify(lake, str(world.model), "float64", "cpu", None, lake.find)[0].id
    cases = cases_table(CASES, {}).store(lake).id
    asked = ABILITY.perform(lake.uri, AbilitySettings.of(tokens=2), {"state": state, "cases": cases}, {"device": "cpu"})
    rows = lake.read(asked.id).to_pylist()
    assert [(row["way"], row["set"], row["case_id"]) for row in rows] == [
        (way, case.set_name, case.case_id) for way in ("likelihood", "generation") for case in CASES
    ]
    for row in rows:
        spoken = row["way"] == "generation"
        assert (row["nlls"] is None, row["said"] is None) == (spoken, not spoken)
    summary = summarise_ability(lake, asked.id)
    assert {name: list(ways) for name, ways in summary.items()} == {name: list(MODES) for name in ("rte", "cola")}
    sql = "SELECT set, way, 100 * avg(correct) AS accuracy, count(*) AS count FROM abilities GROUP BY ALL"
    for row in query(lake, sql).to_pylist():
        found = summary[row["set"]][row["way"]]
        assert (found["accuracy"], found["count"]) == (round(row["accuracy"], 2), row["count"])


def store_answers(lake: Lake, rows: list[tuple[str, str, str | None]]) -> str:
    table = [{"set": name, "way": "likelihood", "label": a, "predicted": b} for name, a, b in rows]
    found: list[dict[str, Any]] = [row | {"case_id": str(n), "nlls": None, "said": None} for n, row in enumerate(table)]
    return lake.write("ability", 1, {"rows": rows}, {}, pa.Table.from_pylist(found, schema=kind("ability").schema)).id


def test_the_summary_is_in_percent_and_counts_failures_separately(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    gold = store_answers(lake, [("rte", "Yes", "Yes"), ("rte", "No", "No")])
    assert summarise_ability(lake, gold) == {
        "rte": {"likelihood": {"accuracy": 100, "f1": 100, "mcc": 1, "failures": 0, "count": 2}}
    }
    wrong = store_answers(lake, [("rte", "Yes", "No"), ("rte", "No", "Yes")])
    assert summarise_ability(lake, wrong)["rte"]["likelihood"] == {
        "accuracy": 0, "f1": 0, "mcc": -1, "failures": 0, "count": 2,
    }  # fmt: skip
    mixed = [("rte", "Yes", "Yes"), ("rte", "No", None), ("cola", "Yes", "Yes"), ("rte", "No", "No")]
    found = summarise_ability(lake, store_answers(lake, mixed))
    assert found["rte"]["likelihood"]["failures"] == 1
    assert found["rte"]["likelihood"]["accuracy"] == 66.67
    assert found["cola"]["likelihood"] == {"accuracy": 100, "f1": 100, "mcc": None, "failures": 0, "count": 1}
    assert summarise_ability(lake, store_answers(lake, mixed[::-1])) == found
    scores = ability_scores(lake, store_answers(lake, mixed))["rte"]["likelihood"]
    assert scores.accuracy.low is not None
    assert scores.accuracy.low < scores.accuracy.value == 2 / 3
