"""Choose the facts to edit, their false answers and their neighbours.

All choices are by SHA-256 of names, so they do not depend on the machine, the order of lines in tables, or a library.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from relation import FactsError, relations

SEED = "starter-2"
EDITS_PER_RELATION = 48  # between the 20 that are required and 60, where one relation would dominate the means
NEIGHBOURS = 5
SPARE_NEIGHBOURS = 6  # subjects per object that stay unedited, so that its neighbourhoods differ


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
        """The two paraphrases, with the subject filled in."""
        return [t.replace("{}", self.subject) for t in relations()[self.relation].paraphrases]

    @property
    def generation(self) -> list[str]:
        """The two beginnings of texts about the subject, filled in."""
        return [t.replace("{}", self.subject) for t in relations()[self.relation].generation]

    @property
    def neighbourhood(self) -> list[str]:
        """The prompt with each neighbour filled in."""
        return [self.prompt.replace("{}", name) for name in self.neighbours]

    def record(self, case_id: int) -> dict[str, object]:
        """The case as a record of the file."""
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


def contains(name: str, text: str) -> bool:
    """Whether a text contains a name as whole words."""
    return name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def ambiguous_names() -> set[str]:
    """Names that also occur in another name, in another relation or in a prompt. They are never edited.

    Case is ignored: an edit of the cricket must not affect a question about the sport.
    """
    names = [name.casefold() for r in relations().values() for line in r.names.values() for name in line]
    texts = {*names, *(prompt.casefold() for r in relations().values() for prompt in r.prompts)}
    everything = "\n".join(texts)
    counts = Counter(names)
    return {
        name
        for name in counts
        if counts[name] > 1
        or (everything.count(name) > 1 and any(contains(name, text) for text in texts if text != name))
    }


def choose_edits(name: str, excluded: set[str]) -> list[tuple[str, str]]:
    """Choose (true object, subject) to edit, evenly over the objects, without `excluded` subjects."""
    facts = relations()[name].names
    share = ceil(EDITS_PER_RELATION / len(facts))
    chosen = []
    for true, subjects in facts.items():
        count = max(min(share, len(subjects) - SPARE_NEIGHBOURS), 0)
        free = [subject for subject in subjects if subject.casefold() not in excluded]
        chosen += [(true, subject) for subject in sorted(free, key=lambda n: rank(name, n))[:count]]
    return sorted(chosen, key=lambda pair: rank(name, "order", pair[1]))


def cases_of(name: str, excluded: set[str]) -> Iterator[Case]:
    """Yield the relation's edits. Each false answer is the least used one of the allowed objects."""
    relation = relations()[name]
    edited = choose_edits(name, excluded)
    edited_subjects = {subject for _, subject in edited}
    used: Counter[str] = Counter()
    for turn, (true, subject) in enumerate(edited):
        allowed = relation.names.keys() - {true} - relation.also_right(true, subject)
        if not allowed:
            raise FactsError(f"{name}: every answer may be right for {subject!r}; trim also_right_by_answer.csv")
        new = min(allowed, key=lambda other: (used[other], rank(name, subject, other)))
        used[new] += 1
        pool = [n for n in relation.names[true] if n not in edited_subjects and new not in relation.also_right(true, n)]
        pool.sort(key=lambda other: rank(name, subject, "near", other))
        prompt = relation.prompts[turn % len(relation.prompts)]
        yield Case(name, subject, true, new, prompt, tuple(pool[:NEIGHBOURS]))


def all_cases() -> list[Case]:
    """The edits of all relations, shuffled so that any prefix of the file is a fair sample."""
    excluded = ambiguous_names()
    cases = [case for name in relations() for case in cases_of(name, excluded)]
    return sorted(cases, key=lambda case: rank("file", case.relation, case.subject))
