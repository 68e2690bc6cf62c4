"""What the tables say of one relation."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Relation:
    """A kind of fact: its wordings with `{}` for the subject, its subjects by true answer, and what else is right.

    Subjects and other right answers are lists separated by semicolons, so that a line of a table is an object.
    """

    prompts: tuple[str, str]  # the wordings that requests and their neighbours use; the answer follows after a space
    paraphrases: tuple[str, str]  # two other wordings of the same question
    generation: tuple[str, str]  # beginnings of texts about the subject, in whose continuation the answer would show
    subjects: dict[str, str]  # true answer: its subjects
    also_by_object: dict[str, str] = field(default_factory=dict)  # true answer: others right for some of its subjects
    also_by_subject: dict[str, str] = field(default_factory=dict)  # subject: others that are right for it

    @property
    def names(self) -> dict[str, list[str]]:
        """{true answer: its subjects, in the table's order}."""
        return {true: listed(line) for true, line in self.subjects.items()}

    def also_right(self, true: str, subject: str) -> set[str]:
        """Answers that are right, or can be argued, besides the true one."""
        lines = (self.also_by_object.get(true, ""), self.also_by_subject.get(subject, ""))
        return {name for line in lines for name in listed(line)}


def listed(line: str) -> list[str]:
    """The parts of a line, separated by semicolons."""
    return [name.strip() for name in line.split(";") if name.strip()]
