"""The relations of tables/, read from its CSV files."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLES = Path(__file__).with_name("tables")
WORDINGS = ("prompt", "other_prompt", "paraphrase", "other_paraphrase", "generation", "other_generation")


class FactsError(ValueError):
    """The tables break a rule; the message lists each breach and is for the editor of the tables."""


@dataclass(frozen=True)
class Relation:
    """A kind of fact: its wordings with `{}` for the subject, its subjects by true answer, and what else is right."""

    prompts: tuple[str, str]  # the wordings that requests and their neighbours use; the answer follows after a space
    paraphrases: tuple[str, str]  # two other wordings of the same question
    generation: tuple[str, str]  # beginnings of texts about the subject, in whose continuation the answer would show
    names: dict[str, list[str]]  # true answer: its subjects
    also_by_answer: dict[str, list[str]]  # true answer: others right for some of its subjects
    also_by_subject: dict[str, list[str]]  # subject: others that are right for it

    def also_right(self, true: str, subject: str) -> set[str]:
        """Answers that are right, or can be argued, besides the true one."""
        return {*self.also_by_answer.get(true, ()), *self.also_by_subject.get(subject, ())}


@cache
def relations() -> dict[str, Relation]:
    """The relations by name, in the order of wordings.csv. FactsError for a table that cannot be read."""
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
    """{answer of more than one token: its tokens under the default tokenizer, separated by `|`, after a space}."""
    return dict(rows("pieces.csv", "answer", "pieces"))


def grouped(file: str, key: str, value: str, known: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """{relation: {key: its values}} of a table, for each known relation."""
    found: dict[str, dict[str, list[str]]] = {name: {} for name in known}
    for relation, first, second in rows(file, "relation", key, value):
        if relation not in found:
            raise FactsError(f"tables/{file}: wordings.csv has no relation {relation!r}")
        found[relation].setdefault(first, []).append(second)
    return found


def rows(file: str, *columns: str) -> Iterator[list[str]]:
    """The lines below a table's header. FactsError unless all of them have a text in each column."""
    with (TABLES / file).open(encoding="utf-8", newline="") as table:
        lines = csv.reader(table, strict=True)
        if next(lines, None) != [*columns]:
            raise FactsError(f"tables/{file}: the first line must be {','.join(columns)}")
        for line in lines:
            if len(line) != len(columns) or not all(cell and cell == cell.strip() for cell in line):
                raise FactsError(f"tables/{file}, line {lines.line_num}: needs {', '.join(columns)}, no outer spaces")
            yield line
