"""Documents from a Wikipedia dump, from text, JSONL or Parquet files, or from the hub."""

from __future__ import annotations

import bz2
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from editflow.editing.errors import first_line
from editflow.storage.address import Address
from editflow.tasks.console.progress import working
from editflow.tasks.errors import BadRecord, UnknownSource, translate_errors
from editflow.tasks.sources.download_limits import limit_rows
from editflow.tasks.sources.packaged_data import CORPUS

TEXT_COLUMN = "text"
MAX_PAGE_BYTES = 2**26
"""Maximum number of bytes of a dump between the ends of two pages; pages of Wikipedia have at most 2 MiB."""


@dataclass(frozen=True)
class Document:
    """A text; `document` is its unique name in the corpus."""

    document: str
    title: str
    text: str


def describe_corpus(source: str) -> dict[str, str]:
    """The content of a corpus in a recipe: a local file's digest, or name and commit on the hub. Raises UnknownSource.

    A hub source is `hub:NAME[:CONFIG][@REVISION]`. Without a revision, the newest one is looked up on the hub.
    """
    source = Address(source)
    if source.startswith("hub:"):
        name, config, revision = hub_parts(source)
        return {"hub": name, "config": config, "revision": revision or _newest_revision(source, name)}
    path = corpus_path(source)
    with path.open("rb") as file, working("digesting the corpus"):
        return {"format": _format(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def corpus_path(source: str) -> Path:
    """The file of a corpus: the packaged sample or a local path. Raises UnknownSource if it is missing or empty."""
    source = Address(source)
    try:
        path = CORPUS.path if source == CORPUS.name else Path(source.full).expanduser()
        is_file, reason = path.is_file(), Address(str(path))
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, an unknown user, a NUL character
        is_file, reason = False, Address(first_line(error))
    if not is_file:
        remedy = "run `editflow fetch` first" if source == CORPUS.name else "give a file, or hub:NAME[:CONFIG]"
        raise UnknownSource(f"no corpus {source!r} ({reason}): {remedy}")
    if path.stat().st_size == 0:
        raise UnknownSource(f"corpus {path} is empty: use a file with documents")
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
    except Exception as error:  # noqa: BLE001  (the hub client raises many classes)
        remedy = "check name and network, or pin @REVISION"
        why = Address(source).without_secrets(first_line(error))
        raise UnknownSource(f"the hub has no data set for corpus {source!r} ({why}); {remedy}") from None


def read_documents(source: str, revision: str = "") -> Iterator[Document]:
    """Documents of a corpus, in its order, one at a time. Raises UnknownSource or BadRecord."""
    source = Address(source)
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


def _from_datasets(source: Address, **options: Any) -> Iterator[Document]:
    import datasets

    datasets.disable_progress_bars()
    # The exception has what it would log; the user sees one line.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)

    def rows() -> Iterator[dict[str, Any]]:
        found = datasets.load_dataset(**options, split="train", streaming=True)
        yield from limit_rows(found) if source.startswith("hub:") else found

    def unreadable(error: Exception) -> BadRecord:
        return BadRecord(f"corpus {source} cannot be read: {source.without_secrets(first_line(error))}")

    for number, row in enumerate(translate_errors(rows(), unreadable)):
        text = row.get(TEXT_COLUMN)
        if not isinstance(text, str):
            columns = ", ".join(map(str, row))
            raise BadRecord(f"{source}: record {number + 1} has no text column {TEXT_COLUMN!r} (it has {columns})")
        yield Document(_valid_text(row.get("id", number)), _valid_text(row.get("title", "")), _valid_text(text))


def _valid_text(text: object) -> str:
    """Text that UTF-8 can encode: a lone surrogate, which JSON can contain, becomes a question mark."""
    return str(text).encode(errors="replace").decode()


def _from_dump(path: Path) -> Iterator[Document]:
    import mwparserfromhell

    with path.open("rb") as packed:
        file = PagedFile(bz2.BZ2File(packed) if path.suffix == ".bz2" else packed)
        for page in _pages(file, path):
            if page["ns"] != "0" or page["text"].lstrip().lower().startswith("#redirect"):
                continue
            try:
                text = mwparserfromhell.parse(page["text"]).strip_code(collapse=True)
            except Exception as error:  # noqa: BLE001  (the parser raises many classes for malicious pages)
                where = f"{path}, page {page['id']}"
                raise BadRecord(f"{where}: its wikitext cannot be read ({first_line(error)}); remove it") from None
            yield Document(page["id"], page["title"], _clean_paragraphs(text))


class PagedFile:
    """A file of pages, each of at most MAX_PAGE_BYTES."""

    def __init__(self, file: IO[bytes] | bz2.BZ2File) -> None:
        self._file, self._page_bytes = file, 0

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. Raises ValueError for a page that is too long."""
        data = self._file.read(size)
        self._page_bytes += len(data)
        if self._page_bytes > MAX_PAGE_BYTES:
            raise ValueError(f"a page of more than {MAX_PAGE_BYTES >> 20} MiB")
        return data

    def next_page(self) -> None:
        """Start counting the bytes of the next page."""
        self._page_bytes = 0


def _pages(file: PagedFile, path: Path) -> Iterator[dict[str, str]]:
    """id, title, ns and wikitext of every page of a MediaWiki export; one page is in memory at a time."""
    from xml.etree.ElementTree import iterparse

    def incomplete(error: Exception) -> BadRecord:
        return BadRecord(f"{path} is not a complete MediaWiki export: {first_line(error)}")

    for _, element in translate_errors(iterparse(file), incomplete):  # noqa: S314  (expat ≥ 2.4 bounds entity expansion)
        if element.tag.rpartition("}")[2] != "page":
            continue
        file.next_page()
        fields = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        text = next((c.text for c in element.iter() if c.tag.rpartition("}")[2] == "text"), "")
        if missing := [name for name in ("id", "title", "ns") if name not in fields]:
            raise BadRecord(f"{path} is not a complete MediaWiki export: a page without {missing[0]}")
        yield {"id": fields["id"], "title": fields["title"], "ns": fields["ns"], "text": text or ""}
        element.clear()


def _clean_paragraphs(text: str) -> str:
    """Paragraphs separated by one empty line, without remains of mark-up."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n\n".join(line for line in lines if len(line) > 1)
