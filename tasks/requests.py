"""Edit requests from files, and as artifacts whose identity is their content."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from editing.requests.counterfact import read
from editing.requests.record import EditRequest, check_all
from storage.identity import table_digest
from storage.kinds import kind
from storage.store import Lake
from tasks.errors import BadRecord, UnknownSource
from tasks.stage import Stage, Work


def load_requests(path: Path) -> list[EditRequest]:
    """The requests of a JSON or JSONL file in CounterFact's shape, all checked.

    Raises UnknownSource, BadRecord or InvalidRequest; each names the file and the line or record.
    """
    requests = check_all(read(_records(path)))
    if not requests:
        raise BadRecord(f"{path} holds no requests; give at least one record")
    return requests


def choose(requests: Sequence[EditRequest], count: int | None, seed: int, path: Path) -> list[EditRequest]:
    """The first `count` requests in an order shuffled by `seed`; a larger count only adds to the end."""
    if count is not None and count > len(requests):
        raise BadRecord(f"{path} holds {len(requests)} requests, {count} are asked for; lower requests.count")
    order = list(requests)
    random.Random(seed).shuffle(order)  # noqa: S311
    return order[:count]


def requests_stage(requests: Sequence[EditRequest], source: str) -> tuple[Stage, dict[str, Any]]:
    """The stage that archives requests, and its spec: the digest of their content, whatever file they came from."""
    table = _table(requests)

    def compute(work: Work) -> pa.Table:
        work.about["source"] = source
        return table

    return Stage("requests", "requests", 1, compute), {"content": table_digest(table)}


def read_requests(lake: Lake, artifact: str) -> list[EditRequest]:
    """The requests of an artifact, in order."""
    return [
        EditRequest(
            request_id=row["request"],
            prompt=row["prompt"],
            subject=row["subject"],
            target_new=row["target_new"],
            target_true=row["target_true"],
            relation=row["relation"],
            paraphrase_prompts=tuple(row["paraphrase_prompts"]),
            neighborhood_prompts=tuple(row["neighborhood_prompts"]),
        )
        for row in lake.read(artifact).to_pylist()
    ]


def _table(requests: Sequence[EditRequest]) -> pa.Table:
    rows = [
        {
            "request": r.request_id,
            "position": n,
            "relation": r.relation,
            "subject": r.subject,
            "prompt": r.prompt,
            "target_new": r.target_new,
            "target_true": r.target_true,
            "paraphrase_prompts": list(r.paraphrase_prompts),
            "neighborhood_prompts": list(r.neighborhood_prompts),
        }
        for n, r in enumerate(requests)
    ]
    return pa.Table.from_pylist(rows, schema=kind("requests").schema)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """(place, record) of a JSON array or a JSONL file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise UnknownSource(f"no request file {path}: give a .json or .jsonl file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise BadRecord(f"{path} cannot be read as UTF-8 text: {error}") from None
    if text.lstrip().startswith("["):
        for n, record in enumerate(_parse(text, str(path), "mend the array"), 1):
            yield f"{path}, record {n}", record
        return
    # Not splitlines: it also cuts at U+2028 and others, which may stand inside a JSON string.
    for n, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {n}"
            yield where, _parse(line, where, "mend the line or remove it")


def _parse(text: str, where: str, remedy: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise BadRecord(f"{where}: nested too deeply; {remedy}") from None
    except ValueError as error:  # also a number of more digits than Python takes
        raise BadRecord(f"{where}: not JSON ({error}); {remedy}") from None
