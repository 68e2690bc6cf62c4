"""The stages from documents to projectors: tokens, second moments, spectra, null spaces."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from editflow.editing.editors.options import omitted
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.second_moment import SecondMoment
from editflow.editing.linalg.spectrum import Spectrum, decompose
from editflow.editing.linalg.threshold import Threshold
from editflow.editing.models.moments import second_moments
from editflow.editing.models.windows import windows
from editflow.storage.artifacts.codec import (
    matrices,
    matrix_rows,
    pack_upper,
    packed_matrices,
    packed_rows,
    unpack_upper,
)
from editflow.storage.artifacts.kinds import kind
from editflow.tasks.console.progress import bar, working
from editflow.tasks.errors import BadRecord
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.stage import Stage, Work

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake


@dataclass(frozen=True)
class TokensSettings:
    """Windows of tokens from one partition of a split's documents; `withdrawn` documents are omitted."""

    split: Literal["moments", "heldout"]
    partition: int
    partitions: int
    window: int
    tokens: int
    withdrawn: tuple[str, ...] = omitted(default=())


@dataclass(frozen=True)
class SecondMomentSettings:
    """The layers whose keys are read, and the number of tokens per forward pass."""

    partition: int
    partitions: int
    layers: tuple[int, ...]
    tokens_per_pass: int


@dataclass(frozen=True)
class SpectrumSettings:
    """The layer of the second moment to decompose."""

    layer: int


class SmallCorpus(UserWarning):
    """Fewer tokens than requested, or than the width of a layer, so that unused directions look like null space."""


def _tokens(work: Work[TokensSettings]) -> pa.Table:
    """Windows of a partition's documents, up to the partition's share of tokens.

    Documents are assigned to partitions before withdrawn ones are omitted, so withdrawing a document changes only one
    partition.
    """
    settings = work.settings
    documents = _partition(work.table("documents"), settings)
    pairs = zip(documents["document"].to_pylist(), documents["text"].to_pylist(), strict=True)
    withdrawn = frozenset(settings.withdrawn)
    kept = [(name, text) for name, text in pairs if name not in withdrawn]
    tokenizer = work.model("model").tokenizer
    cut = windows(tokenizer, (text for _, text in kept), settings.window, settings.tokens)
    rows = [{"document": kept[number][0], "ids": ids} for number, ids in cut]
    work.about["found"] = sum(len(row["ids"]) for row in rows)
    return pa.Table.from_pylist(rows, schema=kind("tokens").schema)


def _partition(documents: pa.Table, settings: TokensSettings) -> pa.Table:
    """The documents of a partition: every n-th one of the split, starting with the partition's number."""
    split = documents.filter(pc.equal(documents["split"], settings.split))
    return split.take(np.arange(settings.partition, len(split), settings.partitions))


def withdrawn_in(lake: Lake, artifact: str, names: Sequence[str], settings: TokensSettings) -> list[str]:
    """The withdrawn documents in a partition, sorted. Raises BadRecord for a name that is not a sampled document."""
    table = lake.read(artifact, columns=["document", "split"])
    if unknown := sorted(set(names) - set(table["document"].to_pylist())):
        raise BadRecord(f"corpus.withdrawn: {unknown[0]!r} is not a sampled document; remove it from the spec")
    return sorted(set(names) & {*_partition(table, settings)["document"].to_pylist()})


def _second_moment(work: Work[SecondMomentSettings]) -> pa.Table:
    """The second moments of one partition for all layers, in one pass."""
    ids: list[list[int]] = work.table("tokens")["ids"].to_pylist()
    model = work.model("model")
    layers, total = list(work.settings.layers), sum(map(len, ids))
    with bar(f"{work.label('second moment')} of {work.settings.partitions}", total, "tokens") as advance:
        moments = second_moments(model, layers, ids, work.settings.tokens_per_pass, advance)
    return _moment_table(moments)


def _merge(work: Work[NoSettings]) -> pa.Table:
    """The sum of the partitions' second moments, in order."""
    with working("merging second moments"):
        first, *others = work.many("second_moment")
        merged = read_moments(work.lake, first)
        for other in others:  # one at a time: the moments of wide layers take gigabytes
            part = read_moments(work.lake, other)
            merged = {layer: merged[layer].merge(part[layer]) for layer in merged}
    widest = max(merged.values(), key=lambda moment: moment.d)
    work.about.update(tokens=widest.count, width=widest.d)
    return _moment_table(merged)


def check_share(threshold: Threshold, width: int) -> None:
    """Raise InvalidOption for a share of directions that rounds to none of `width`, whatever the spectrum."""
    if threshold.rule == "rank" and round(threshold.value * width) == 0:
        raise InvalidOption(
            f"null_space.value = {threshold.value}: this leaves none of {width} directions for edits; "
            f"choose {1 / width:.2g} or more"
        )


def check_tokens(tokens: int, width: int) -> None:
    """Raise InvalidOption if so few tokens give a singular second moment, which the method would have to invert."""
    if tokens < width:
        raise InvalidOption(
            f"corpus.tokens = {tokens}: with so few, the second moment of keys of width {width} is singular, but this "
            f"method inverts it; choose {10 * width} or more, or edit.ridge above 0"
        )


def warn_of_small_corpus(lake: Lake, artifact: str) -> None:
    """Warn if an artifact of tokens or merged moments has too few tokens, whether it was created or reused."""
    manifest = lake.manifest(artifact)
    spec, about = manifest.spec, manifest.about
    if about.get("found", math.inf) < spec.get("tokens", 0):
        what = f"partition {spec['partition'] + 1} of {spec['partitions']} ({spec['split']})"
        key = "corpus.held_out_tokens" if spec["split"] == "heldout" else "corpus.tokens"
        text = f"the sampled documents have {about['found']} of {spec['tokens']} tokens"
        warnings.warn(f"{what}: {text}; raise corpus.documents or lower {key}", SmallCorpus, stacklevel=2)
    tokens, width = about.get("tokens", math.inf), about.get("width", 0)
    if tokens < width:
        warnings.warn(
            f"the second moments have {tokens} tokens for {width} dimensions, so {width - tokens} or more directions "
            f"look unused; raise corpus.tokens above {10 * width}",
            SmallCorpus,
            stacklevel=2,
        )


def _spectrum(work: Work[SpectrumSettings]) -> pa.Table:
    """Eigenvalues and tridiagonal form of one layer's mean second moment."""
    layer = work.settings.layer
    with working(f"spectrum of layer {layer}"):
        spectrum = decompose(read_moments(work.lake, work.one("second_moment"), layer)[layer].mean())
    return spectrum_table(layer, spectrum)


def spectrum_table(layer: int, spectrum: Spectrum) -> pa.Table:
    """A layer's spectrum, one row per eigenvalue, with the lower triangle of the reduced matrix by columns."""
    d = len(spectrum.eigenvalues)
    lower = spectrum.reduced.tril()
    return pa.table(
        {
            "layer": pa.array(np.full(d, layer, np.int32)),
            "i": pa.array(np.arange(d, dtype=np.int32)),
            "eigenvalue": pa.array(spectrum.eigenvalues.numpy()),
            "scale": pa.array(np.append(spectrum.scales.numpy(), 0.0)),
            "reduced": pack_upper((lower + lower.tril(-1).T).numpy()),
        },
        schema=kind("spectrum").schema,
    )


def _null_space(work: Work[Threshold]) -> pa.Table:
    """The null space, as its basis or its complement, whichever is smaller."""
    layer, spectrum = read_spectrum(work.lake, work.one("spectrum"))
    try:
        space = NullSpace.from_spectrum(spectrum, work.settings)
    except InvalidOption as error:
        raise InvalidOption(f"layer {layer}: {error}") from None
    work.about.update(rank=space.rank, width=space.d)
    return matrix_rows([(layer, "basis" if space.is_basis else "complement", space.vectors.numpy())])


def _moment_table(moments: dict[int, SecondMoment]) -> pa.Table:
    entries = []
    for layer, moment in sorted(moments.items()):
        total = moment.total.cpu()
        entries.append((layer, "sum", ((total + total.T) / 2).numpy()))
        entries.append((layer, "count", np.array([[float(moment.count)]])))
    return packed_rows(entries)


def read_moments(lake: Lake, artifact: str, layer: int | None = None) -> dict[int, SecondMoment]:
    """The accumulated moments of an artifact by layer; with `layer`, only that layer is decoded."""
    found = packed_matrices(lake.read(artifact, layer=layer))
    return {
        n: SecondMoment(torch.from_numpy(np.array(total)), int(found[n, "count"][0, 0]))
        for (n, name), total in found.items()
        if name == "sum"
    }


def read_moment_layers(lake: Lake, artifact: str) -> list[int]:
    """The layers of a moments artifact, ascending."""
    return sorted(set(lake.read(artifact, ["layer"])["layer"].to_pylist()))


def read_spectrum(lake: Lake, artifact: str) -> tuple[int, Spectrum]:
    """(layer, spectrum) of an artifact. Raises ValueError if rows are missing or out of order."""
    table = lake.read(artifact)
    if not len(table) or not np.array_equal(table["i"].to_numpy(), np.arange(len(table))):
        raise ValueError("the rows of a spectrum are not in order: i must count 0, 1, …")
    reduced = torch.from_numpy(unpack_upper(table["reduced"]))
    eigenvalues, scales = (torch.from_numpy(np.array(table[name].to_numpy())) for name in ("eigenvalue", "scale"))
    return table["layer"][0].as_py(), Spectrum(eigenvalues, reduced, scales[:-1])


def read_null_space(lake: Lake, artifact: str) -> tuple[int, NullSpace]:
    """(layer, null space) of an artifact."""
    (((layer, name), matrix),) = matrices(lake.read(artifact)).items()
    return layer, NullSpace(torch.from_numpy(np.array(matrix)), name == "basis")


TOKENS = Stage("tokens", "tokens", 1, TokensSettings, _tokens, ("documents", "model"))
SECOND_MOMENT = Stage("second-moment", "second_moment", 1, SecondMomentSettings, _second_moment, ("tokens", "model"))
MERGE = Stage("merge-moments", "second_moment", 1, NoSettings, _merge, ("second_moment",))
SPECTRUM = Stage("spectrum", "spectrum", 2, SpectrumSettings, _spectrum, ("second_moment",))
NULL_SPACE = Stage("null-space", "null_space", 2, Threshold, _null_space, ("spectrum",))
