"""The default model, corpus and facts: the same inputs for both implementations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from editflow.editing.editors.contexts import sample_contexts
from editflow.editing.editors.options import ContextOptions
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import load
from editflow.editing.models.windows import windows
from editflow.editing.requests.record import EditRequest
from editflow.tasks.models.model_source import model_folder
from editflow.tasks.sources.corpus import read_documents
from editflow.tasks.sources.edit_requests import choose_requests, load_requests
from editflow.tasks.sources.packaged_data import CORPUS, MODEL

FACTS = Path(__file__).parents[1] / "specs" / "facts" / "starter.jsonl"
LAYERS = [4, 5, 6, 7, 8]
Z_LAYER = 8


def model() -> EditableModel:
    """The default model in float32."""
    return load(model_folder(MODEL.name))


def token_windows(model: EditableModel, tokens: int, length: int) -> list[list[int]]:
    """Token windows of the default corpus, in document order."""
    texts = (document.text for document in read_documents(CORPUS.name))
    return [window for _, window in windows(model.tokenizer, texts, length, tokens)]


def requests(count: int) -> list[EditRequest]:
    """The first `count` facts of the starter set in the order of seed 0."""
    return choose_requests(load_requests(FACTS), count, 0, FACTS)


def contexts(model: EditableModel) -> list[str]:
    """Five sampled contexts, as published."""
    return sample_contexts(model, ContextOptions())


def spread(items: Sequence[EditRequest], count: int) -> list[EditRequest]:
    """`count` evenly spaced items: the middle one of each of `count` equal parts."""
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]
