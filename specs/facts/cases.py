"""Which facts are edited, with which false answers and neighbours.

Every choice follows from SHA-256 of names, so it depends neither on the machine, nor on the order of the tables' lines,
nor on a library.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from relation import FactsError, relations

SEED = "starter-2"
EDITS_PER_RELATION = 48  # keeps the relations even: 20 are asked for, 60 would let one dominate the means
NEIGHBOURS = 5
SPARE_NEIGHBOURS = 6  # subjects of an object that stay unedited, so that its neighbourhoods differ a little


@dataclass(frozen=True)
class Case:
    """One edit: its subject, the true and the false answer, its templates and its unedited neighbours."""

    relation: str
    subject: str
    true: str
    new: str
    prompt: str
    neighbours: tuple[str, ...]

    @property
    def filled(self) -> str:
        """The prompt with the subject filled in."""
        return self.prompt.replace("{}", self.subject)

    @property
    def paraphrases(self) -> list[str]:
        """The two other wordings, with the subject filled in."""
        return [t.replace("{}", self.subject) for t in relations()[self.relation].paraphrases]

    @property
    def generation(self) -> list[str]:
        """The two beginnings of texts about the subject."""
        return [t.replace("{}", self.subject) for t in relations()[self.relation].generation]

    @property
    def neighbourhood(self) -> list[str]:
        """The prompt, asked of the neighbours."""
        return [self.prompt.replace("{}", name) for name in self.neighbours]

    def record(self, case_id: int) -> dict[str, object]:
        """The record as one line of the file holds it."""
        return {
            "case_id": case_id,
            "relation": self.relation,
            "requested_rewrite": {
                "prompt": self.prompt,
                "subject": self.subject,
                "target_true": {"str": self.true},
                "target_new": {"str": self.new},
            },
            "paraphrase_prompts": self.paraphrases,
            "neighborhood_prompts": self.neighbourhood,
            "generation_prompts": self.generation,
        }


def rank(*names: str) -> str:
    """A fixed pseudo-random sort key."""
    return hashlib.sha256("\x1f".join((SEED, *names)).encode()).hexdigest()


def holds(name: str, text: str) -> bool:
    """Whether a name is in a text as whole words."""
    return name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def ambiguous() -> set[str]:
    """Names that are elsewhere too: in another name, under another relation or in a prompt. They are never edited.

    Capitals make no difference: an edit of the cricket must not reach a question about the sport.
    """
    names = [name.casefold() for r in relations().values() for line in r.names.values() for name in line]
    texts = {*names, *(prompt.casefold() for r in relations().values() for prompt in r.prompts)}
    counts = Counter(names)
    return {name for name in counts if counts[name] > 1 or any(holds(name, text) for text in texts if text != name)}


def edited_of(name: str, shut: set[str]) -> list[tuple[str, str]]:
    """(true object, subject) to edit, spread evenly over the objects and none in `shut`; the rest remain neighbours."""
    facts = relations()[name].names
    share = ceil(EDITS_PER_RELATION / len(facts))
    chosen = []
    for true, subjects in facts.items():
        count = max(min(share, len(subjects) - SPARE_NEIGHBOURS), 0)
        free = [subject for subject in subjects if subject.casefold() not in shut]
        chosen += [(true, subject) for subject in sorted(free, key=lambda n: rank(name, n))[:count]]
    return sorted(chosen, key=lambda pair: rank(name, "order", pair[1]))


def cases_of(name: str, shut: set[str]) -> Iterator[Case]:
    """The relation's edits; false answers go to whichever allowed object has been used least."""
    relation = relations()[name]
    edited = edited_of(name, shut)
    taken = {subject for _, subject in edited}
    used: Counter[str] = Counter()
    for turn, (true, subject) in enumerate(edited):
        allowed = relation.names.keys() - {true} - relation.also_right(true, subject)
        if not allowed:
            raise FactsError(f"{name}: every answer may be right for {subject!r}; trim also_right_by_answer.csv")
        new = min(allowed, key=lambda other: (used[other], rank(name, subject, other)))
        used[new] += 1
        pool = [n for n in relation.names[true] if n not in taken and new not in relation.also_right(true, n)]
        pool.sort(key=lambda other: rank(name, subject, "near", other))
        prompt = relation.prompts[turn % len(relation.prompts)]
        yield Case(name, subject, true, new, prompt, tuple(pool[:NEIGHBOURS]))


def all_cases() -> list[Case]:
    """Every relation's edits, shuffled together so that any prefix of the file is a fair sample."""
    shut = ambiguous()
    cases = [case for name in relations() for case in cases_of(name, shut)]
    return sorted(cases, key=lambda case: rank("file", case.relation, case.subject))
