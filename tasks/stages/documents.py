"""Sampled documents, the input of every second moment."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

from editflow.storage.artifacts.kinds import kind
from editflow.tasks.console.progress import bar
from editflow.tasks.errors import BadRecord
from editflow.tasks.stages.stage import Stage, Work

if TYPE_CHECKING:
    import pyarrow as pa
from editflow.tasks.sources.corpus import Document, read_documents


def sample(source: str, spec: dict[str, Any]) -> list[tuple[str, Document]]:
    """(split, document): a seeded uniform sample of what was scanned; held-out documents first.

    Reservoir sampling (algorithm R), so memory holds the sample and not the corpus. Where the corpus is small, one
    document in five at most is held out.
    """
    chosen: list[Document] = []
    rng = random.Random(spec["seed"])  # noqa: S311
    wanted = spec["documents"] + spec["held_out_documents"]
    with bar("documents", None, "documents") as advance:
        found = read_documents(source, spec["corpus"].get("revision", ""))
        long_enough = (d for d in found if len(d.text) >= spec["min_characters"])
        for seen, document in enumerate(itertools.islice(long_enough, spec["scan"])):
            advance(1)
            if len(chosen) < wanted:
                chosen.append(document)
            elif (place := rng.randrange(seen + 1)) < wanted:
                chosen[place] = document
    if len(chosen) < 2:
        raise BadRecord(
            f"corpus {source} has {len(chosen)} documents of at least {spec['min_characters']} characters: "
            "give a larger corpus, or lower corpus.min_characters"
        )
    rng.shuffle(chosen)
    held_out = max(1, min(spec["held_out_documents"], len(chosen) // 5))
    return [("heldout" if n < held_out else "moments", d) for n, d in enumerate(chosen)]


def documents_stage(source: str) -> Stage:
    """The stage that samples a corpus; its recipe holds what pins the source, not where it is."""

    def compute(work: Work) -> pa.Table:
        import pyarrow as pa

        work.about["source"] = source
        rows = [
            {"document": d.document, "title": d.title, "split": split, "text": d.text}
            for split, d in sample(source, dict(work.spec))
        ]
        return pa.Table.from_pylist(rows, schema=kind("documents").schema)

    return Stage("documents", "documents", 1, compute)
