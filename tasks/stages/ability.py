"""General ability: public questions as artifacts, the answers of a state, and their accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from editflow.editing.editors.options import omitted
from editflow.editing.metrics.ability.asking import Answer, ask
from editflow.editing.metrics.ability.confusion import STATISTICS, confusion, interval
from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.ability.modes import MODES, TOKENS, check_modes
from editflow.editing.metrics.ability.sets import ability_set, draw
from editflow.editing.metrics.intervals import Interval
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar
from editflow.tasks.sources.records import read_records
from editflow.tasks.stages.stage import Stage, Work


@dataclass(frozen=True)
class AbilityScores:
    """The scores of a state on one set with one method of asking, as fractions.

    `mcc` is a correlation, None if all labels are equal. `failures` of `count` questions have no answer: the text could
    not be parsed, or two options were equally likely.
    """

    accuracy: Interval
    f1: Interval
    mcc: Interval | None
    failures: int
    count: int


def load_cases(name: str, source: str, count: int | None = None, shots: int = 0, seed: int = 0) -> list[AbilityCase]:
    """The questions of a set from a file, URL or the hub, selected by `draw`; every record is checked.

    Raises InvalidOption, InvalidCase, UnknownSource or BadRecord, which name the file and the record.
    """
    return draw(_read_cases(name, source), count, shots, seed, source)


def _read_cases(name: str, source: str) -> Iterator[tuple[str, AbilityCase]]:
    chosen = ability_set(name)
    with bar(f"reading {name}", None, "records") as advance:
        for n, (where, record) in enumerate(read_records(source, "validation")):
            yield where, chosen.case(where, record, str(n))
            advance(1)


def cases_table(cases: Sequence[AbilityCase], sources: Mapping[str, str]) -> ImportedTable:
    """Questions as an artifact; `sources` names the source of each set and is not part of the id."""
    rows = [{**vars(case), "set": case.set_name} for case in cases]
    table = pa.Table.from_pylist(rows, schema=kind("ability_cases").schema)
    return ImportedTable("ability_cases", table, {"sources": dict(sources)})


def read_cases(lake: Lake, artifact: str) -> list[AbilityCase]:
    """The questions of an artifact, in order."""
    return [
        AbilityCase(row["set"], row["case_id"], row["prompt"], tuple(row["options"]), row["label"])
        for row in lake.read(artifact).to_pylist()
    ]


@dataclass(frozen=True)
class AbilitySettings:
    """How questions are asked; `tokens` limits a generated answer, and is None if no answers are generated."""

    ways: tuple[str, ...]
    tokens: int | None = omitted(default=None)

    @classmethod
    def of(cls, ways: Sequence[str] = MODES, tokens: int = TOKENS) -> AbilitySettings:
        """The settings for these ways of asking. Raises InvalidOption for an unknown way."""
        check_modes(ways)
        return cls(tuple(ways), tokens if "generation" in ways else None)


def _ability(work: Work[AbilitySettings]) -> pa.Table:
    """One row per question and way."""
    cases = read_cases(work.lake, work.one("cases"))
    model = work.model("state")
    ways = work.settings.ways
    answers: list[Answer] = []
    with bar(work.label("general ability"), len(cases) * len(ways), "questions") as advance:
        for way in ways:
            answers += ask(model, cases, way, work.settings.tokens or TOKENS, progress=advance)
    rows = [
        {
            "set": answer.case.set_name,
            "case_id": answer.case.case_id,
            "way": answer.mode,
            "label": answer.case.label,
            "predicted": answer.predicted,
            "nlls": answer.nlls,
            "said": answer.generated,
        }
        for answer in answers
    ]
    return pa.Table.from_pylist(rows, schema=kind("ability").schema)


def ability_scores(lake: Lake, artifact: str) -> dict[str, dict[str, AbilityScores]]:
    """{set: {way: scores}} of an `ability` artifact, with 95 % bootstrap intervals over the questions."""
    answers: dict[tuple[str, str], list[tuple[str, str | None]]] = {}
    for row in lake.read(artifact, columns=["set", "way", "label", "predicted"]).to_pylist():
        answers.setdefault((row["set"], row["way"]), []).append((row["label"], row["predicted"]))
    scores: dict[str, dict[str, AbilityScores]] = {}
    for (name, way), pairs in answers.items():
        scores.setdefault(name, {})[way] = _scores(pairs)
    return scores


def _scores(pairs: Sequence[tuple[str, str | None]]) -> AbilityScores:
    options = sorted({text for pair in pairs for text in pair if text is not None})
    table = confusion(options, pairs)
    found = {name: interval(table, statistic) for name, statistic in STATISTICS.items()}
    return AbilityScores(**found, failures=int(table[:, -1].sum()), count=len(pairs))  # type: ignore[arg-type]


def summarise_ability(lake: Lake, artifact: str) -> dict[str, dict[str, dict[str, float | None]]]:
    """{set: {way: {accuracy, f1, mcc, failures, count}}}: accuracy and f1 in percent, MCC from −1 to 1 or None."""
    return {
        name: {way: _summary(scores) for way, scores in ways.items()}
        for name, ways in ability_scores(lake, artifact).items()
    }


def _summary(scores: AbilityScores) -> dict[str, float | None]:
    percent = {name: round(100 * getattr(scores, name).value, 2) for name in ("accuracy", "f1")}
    mcc = None if scores.mcc is None else round(scores.mcc.value, 4)
    return {**percent, "mcc": mcc, "failures": scores.failures, "count": scores.count}


ABILITY = Stage("ability", "ability", 1, AbilitySettings, _ability, ("state", "cases"))
