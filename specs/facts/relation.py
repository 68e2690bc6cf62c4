"""The relations in the CSV files of tables/."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLES = Path(__file__).with_name("tables")
WORDINGS = ("prompt", "other_prompt", "paraphrase", "other_paraphrase", "generation", "other_generation")


class FactsError(ValueError):
    """The tables break rules. The message lists every breach."""


@dataclass(frozen=True)
class Relation:
    """A relation: wordings with `{}` for the subject, subjects by true answer, and other right answers."""

    prompts: tuple[str, str]  # wordings for requests and their neighbours; the answer follows after a space
    paraphrases: tuple[str, str]  # other wordings of the same question
    generation: tuple[str, str]  # beginnings of texts about the subject, whose continuation would reveal the answer
    names: dict[str, list[str]]  # true answer: its subjects
    also_by_answer: dict[str, list[str]]  # true answer: other answers that are right for some of its subjects
    also_by_subject: dict[str, list[str]]  # subject: other answers that are right for it

    def also_right(self, true: str, subject: str) -> set[str]:
        """Answers that are right or arguable, besides the true one."""
        return {*self.also_by_answer.get(true, ()), *self.also_by_subject.get(subject, ())}


@cache
def relations() -> dict[str, Relation]:
    """Read the relations by name, in the order of wordings.csv. Raises FactsError for an invalid table."""
    wordings: dict[str, list[str]] = {}
    for name, *texts in rows("wordings.csv", "relation", *WORDINGS):
        if name in wordings:
            raise FactsError(f"tables/wordings.csv: {name!r} has two lines")
        wordings[name] = texts
    facts = grouped("facts.csv", "answer", "subject", wordings)
    by_answer = grouped("also_right_by_answer.csv", "answer", "also_right", wordings)
    by_subject = grouped("also_right_by_subject.csv", "subject", "also_right", wordings)
    return {
        name: Relation((a, b), (c, d), (e, f), facts[name], by_answer[name], by_subject[name])
        for name, (a, b, c, d, e, f) in wordings.items()
    }


@cache
def answer_pieces() -> dict[str, str]:
    """Answers of several tokens: {answer: its tokens after a space under the default tokenizer, separated by `|`}."""
    return dict(rows("pieces.csv", "answer", "pieces"))


def grouped(file: str, key: str, value: str, known: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """Read a table as {relation: {key: values}}, for each known relation."""
    found: dict[str, dict[str, list[str]]] = {name: {} for name in known}
    for relation, first, second in rows(file, "relation", key, value):
        if relation not in found:
            raise FactsError(f"tables/{file}: wordings.csv has no relation {relation!r}")
        found[relation].setdefault(first, []).append(second)
    return found


def rows(file: str, *columns: str) -> Iterator[list[str]]:
    """Yield the lines below a table's header. Raises FactsError unless every line has a text in each column."""
    with (TABLES / file).open(encoding="utf-8", newline="") as table:
        lines = csv.reader(table, strict=True)
        if next(lines, None) != [*columns]:
            raise FactsError(f"tables/{file}: the first line must be {','.join(columns)}")
        for line in lines:
            if len(line) != len(columns) or not all(cell and cell == cell.strip() for cell in line):
                raise FactsError(f"tables/{file}, line {lines.line_num}: needs {', '.join(columns)}, no outer spaces")
            yield line
