"""The stage that samples documents from a corpus; second moments and perplexity are computed from them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from editflow.storage.artifacts.kinds import kind
from editflow.tasks.console.progress import bar
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.corpus import Document, read_documents
from editflow.tasks.stages.stage import Stage, Work

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DocumentsSettings:
    """`corpus` identifies the content of the source: the digest of a file, or the revision of a data set."""

    corpus: Mapping[str, str]
    seed: int
    documents: int
    held_out_documents: int
    min_characters: int
    scan: int


def sample(source: str, settings: DocumentsSettings) -> list[tuple[str, Document]]:
    """(split, document): a seeded uniform sample of the scanned documents; held-out documents first.

    Uses reservoir sampling (algorithm R), so only the sample is in memory. At most one document in five is held out.
    Raises BadRecord if the corpus has fewer than two documents of the minimum length.
    """
    chosen: list[Document] = []
    rng = random.Random(settings.seed)  # noqa: S311
    wanted = settings.documents + settings.held_out_documents
    with bar("documents", None, "documents") as advance:
        found = read_documents(source, settings.corpus.get("revision", ""))
        long_enough = (d for d in found if len(d.text) >= settings.min_characters)
        for seen, document in enumerate(itertools.islice(long_enough, settings.scan)):
            advance(1)
            if len(chosen) < wanted:
                chosen.append(document)
            elif (place := rng.randrange(seen + 1)) < wanted:
                chosen[place] = document
    if len(chosen) < 2:
        raise BadRecord(
            f"corpus {source} has {len(chosen)} documents of at least {settings.min_characters} characters: "
            "give a larger corpus, or lower corpus.min_characters"
        )
    rng.shuffle(chosen)
    held_out = max(1, min(settings.held_out_documents, len(chosen) // 5))
    return [("heldout" if n < held_out else "moments", d) for n, d in enumerate(chosen)]


def documents_stage(source: str) -> Stage[DocumentsSettings]:
    """The stage that samples a corpus. Its recipe has the digest or revision of the source, not its location."""

    def compute(work: Work[DocumentsSettings]) -> pa.Table:
        import pyarrow as pa

        work.about["source"] = source
        rows = [
            {"document": d.document, "title": d.title, "split": split, "text": d.text}
            for split, d in sample(source, work.settings)
        ]
        return pa.Table.from_pylist(rows, schema=kind("documents").schema)

    return Stage("documents", "documents", 1, DocumentsSettings, compute, ())
