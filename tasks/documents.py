"""Documents from a Wikipedia dump, from text, JSONL or Parquet files, or from the hub."""

from __future__ import annotations

import bz2
import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from editing.errors import first_line
from storage.kinds import kind
from tasks.errors import BadRecord, UnknownSource
from tasks.fetch import CORPUS
from tasks.progress import bar, working
from tasks.stage import Stage, Work

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_COLUMN = "text"


@dataclass(frozen=True)
class Document:
    """One text with a name of its own."""

    document: str
    title: str
    text: str


def describe_corpus(source: str) -> dict[str, str]:
    """What pins a corpus in a recipe: a local file's digest, or name and commit on the hub. Raises UnknownSource.

    A hub source is `hub:NAME[:CONFIG][@REVISION]`; without a revision the hub is asked for the newest one.
    """
    if source.startswith("hub:"):
        name, config, revision = hub_parts(source)
        return {"hub": name, "config": config, "revision": revision or _newest_revision(source, name)}
    path = corpus_path(source)
    with path.open("rb") as file, working("digesting the corpus"):
        return {"format": _format(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def corpus_path(source: str) -> Path:
    """The file of a corpus: the packaged sample or a local path."""
    path = CORPUS.path if source == CORPUS.name else Path(source).expanduser()
    if not path.is_file():
        remedy = "run `editflow fetch` first" if source == CORPUS.name else "give a file, or hub:NAME[:CONFIG]"
        raise UnknownSource(f"no corpus {source!r} ({path}): {remedy}")
    if path.stat().st_size == 0:
        raise UnknownSource(f"corpus {path} is empty: give a file with documents")
    return path


def _format(path: Path) -> str:
    name = path.name.lower()
    for suffixes, form in (((".xml", ".xml.bz2", ".bz2"), "dump"), ((".jsonl", ".json"), "json"),
                           ((".parquet",), "parquet"), ((".txt",), "text")):  # fmt: skip
        if name.endswith(suffixes):
            return form
    raise UnknownSource(f"corpus {path}: unknown format; use .txt, .jsonl, .parquet, .xml or .xml.bz2")


def hub_parts(source: str) -> tuple[str, str, str]:
    """(name, config, revision) of a hub source; the last two may be empty."""
    place, _, revision = source.removeprefix("hub:").partition("@")
    name, _, config = place.partition(":")
    return name, config, revision


def _newest_revision(source: str, name: str) -> str:
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(name).sha)
    except Exception as error:  # noqa: BLE001  (the hub client raises a different class for every way of failing)
        remedy = "check name and network, or pin @REVISION"
        raise UnknownSource(f"the hub gave no data set for corpus {source!r} ({first_line(error)}); {remedy}") from None


def read_documents(source: str, revision: str = "") -> Iterator[Document]:
    """Documents of a corpus in its own order, one at a time."""
    if source.startswith("hub:"):
        name, config, _ = hub_parts(source)
        yield from _from_datasets(source, path=name, name=config or None, revision=revision or None)
        return
    path = corpus_path(source)
    form = _format(path)
    if form == "dump":
        yield from _from_dump(path)
    else:
        options = {"sample_by": "paragraph"} if form == "text" else {}
        yield from _from_datasets(source, path=form, data_files=str(path), **options)


def _from_datasets(source: str, **options: Any) -> Iterator[Document]:
    import datasets

    datasets.disable_progress_bars()
    # What it would log is in the exception, and the user gets one line.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    rows = None
    try:
        rows = iter(datasets.load_dataset(**options, split="train", streaming=True))
        for number, row in enumerate(rows):
            text = row.get(TEXT_COLUMN)
            if not isinstance(text, str):
                columns = ", ".join(row)
                raise BadRecord(f"{source}: record {number + 1} has no text column {TEXT_COLUMN!r} (it has {columns})")
            yield Document(str(row.get("id", number)), str(row.get("title", "")), text)
    # An empty stream ends as StopIteration inside a generator, which Python turns into RuntimeError.
    except (OSError, ValueError, TypeError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise BadRecord(f"corpus {source} cannot be read: {first_line(error)}") from error


def _from_dump(path: Path) -> Iterator[Document]:
    import mwparserfromhell

    with bz2.open(path) if path.suffix == ".bz2" else path.open("rb") as file:
        for page in _pages(file):
            wanted = page["ns"] == "0" and not page["text"].lstrip().lower().startswith("#redirect")
            if wanted:
                text = mwparserfromhell.parse(page["text"]).strip_code(collapse=True)
                yield Document(page["id"], page["title"], _squeeze(text))


def _pages(file: IO[bytes]) -> Iterator[dict[str, str]]:
    """id, title, ns and wikitext of every page of a MediaWiki export, one in memory at a time."""
    from xml.etree.ElementTree import ParseError, iterparse

    try:
        for _, element in iterparse(file):  # noqa: S314  (expat ≥ 2.4 bounds entity expansion)
            if element.tag.rpartition("}")[2] != "page":
                continue
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
            text = next((c.text for c in element.iter() if c.tag.rpartition("}")[2] == "text"), "")
            yield {"id": fields["id"], "title": fields["title"], "ns": fields["ns"], "text": text or ""}
            element.clear()
    except (ParseError, KeyError, OSError, EOFError) as error:
        raise BadRecord(f"{getattr(file, 'name', 'dump')} is not a whole MediaWiki export: {error}") from error


def _squeeze(text: str) -> str:
    """Paragraphs separated by one empty line, without what the mark-up leaves behind."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n\n".join(line for line in lines if len(line) > 1)


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
