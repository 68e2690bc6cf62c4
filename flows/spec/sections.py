"""The sections of a run's spec: every key with its default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from editflow.editing.editors.method import Method
from editflow.editing.editors.methods import METHODS, parse_options
from editflow.editing.editors.options import MethodOptions
from editflow.editing.metrics.ability.modes import MODES, TOKENS, check_modes
from editflow.editing.metrics.ability.sets import ability_set
from editflow.editing.metrics.registry import METRICS
from editflow.storage.address import Address

# Recipes are canonical JSON, whose whole numbers end at 2^53.
Count = Annotated[int, Field(ge=1, le=2**53 - 1)]
Several = Annotated[int, Field(ge=2, le=2**53 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Section(BaseModel):
    # The text below a key is its description in docs/commands.md.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class ModelSection(Section):
    """Which model to edit."""

    source: Address = Address("smollm2-135m-instruct")
    """The packaged default, a folder, a .gguf file or a hub id (`org/name[@revision]`)."""
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    """The data type of the weights."""
    device: str = "cpu"
    """The torch device; `cuda` for a GPU."""


class CorpusSection(Section):
    """Preserved knowledge: a seeded sample of documents, cut to `tokens` tokens in separate `partitions`."""

    source: Address = Address("wikipedia-sample")
    """The packaged sample, a .txt, .jsonl, .parquet, .xml or .xml.bz2 file, or `hub:NAME[:CONFIG][@REVISION]`."""
    seed: Seed = 0
    """Seed for the sample of documents and their order."""
    documents: Annotated[int, Field(ge=1, le=10_000_000)] = 90
    """Maximum number of sampled documents."""
    held_out_documents: Annotated[int, Field(ge=1, le=10_000_000)] = 10
    """Number of further documents held out for perplexity; at most one in five of a small corpus."""
    min_characters: Count = 1000
    """Shorter documents are skipped."""
    max_scanned_documents: Count = 100_000
    """Maximum number of sufficiently long documents that are read, from the start of the corpus."""
    window: Annotated[int, Field(ge=2, le=2**20)] = 256
    """Tokens per window; a document is cut into windows, and each is read separately."""
    tokens: Annotated[int, Field(ge=1, le=10**11)] = 120_000
    """Maximum number of tokens over all partitions; use at least ten times the width of the keys."""
    partitions: Annotated[int, Field(ge=1, le=4096)] = 4
    """Number of parts with separate moments, merged at the end; a killed run loses at most one."""
    tokens_per_pass: Annotated[int, Field(ge=1, le=2**24)] = 2048
    """Tokens per forward pass: limits memory, changes the last bits."""
    held_out_tokens: Annotated[int, Field(ge=2, le=10**9)] = 4096
    """Maximum number of tokens for perplexity."""
    withdrawn: list[str] = Field(default=[])
    """Names of sampled documents to withdraw. Each leaves a gap in its partition; the others are unchanged."""
    layers: list[int] | None = Field(default=None, min_length=1)
    """Layers whose moments are computed, ascending; default: the edited ones. More of them serve several runs."""


class RequestsSection(Section):
    """Which facts to edit: the first `count` of the file in an order shuffled by `seed`."""

    source: Address
    """A .jsonl, .json, .csv or .parquet file beside the spec or in the working folder, a URL, hub:NAME[:CONFIG], or,
    for `editflow apply`, queue:NAME."""
    dataset: str | None = None
    """The format of its records, if the first record does not show it; docs/requests.md lists the names."""
    references: Address | None = None
    """A .jsonl file of texts about targets (relation, target, text), for the metric consistency."""
    count: Count | None = None
    """Number of facts; default: all. A larger count only adds to the end."""
    seed: Seed = 0
    """Seed for the sample and for the order of edits."""
    exclude_probes: int = Field(default=0, ge=0, le=2**53 - 1)
    """Number of facts with neighbours to leave out, the first under `seed`, with all others about their subjects."""
    order: Seed | None = None
    """Another seed for the order of the chosen facts; default: the order of the sample."""
    withdrawn: list[str] = Field(default=[])
    """Ids of chosen facts to withdraw. Each leaves a gap in its batch; earlier batches are unchanged."""

    @property
    def queue(self) -> str | None:
        """The name of the queue that the requests come from, or None."""
        return self.source.removeprefix("queue:") if self.source.startswith("queue:") else None


class EditSection(Section):
    """How to edit: method, layers, batches of `batch_size` facts, a checkpoint every `checkpoint_every` batches.

    All other keys are options of the method, see editing/editors/methods.py.
    """

    model_config = ConfigDict(extra="allow")

    method: str = "alphaedit"
    """The editing method."""
    layers: list[int] = Field(default=[4, 5, 6, 7, 8], min_length=1)
    """The layers whose down-projections are edited, ascending, counted from 0."""
    z_layer: int = 8
    """The layer at whose output target values are optimised; not below an edited layer."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Facts solved for together; the next batch starts from the edited model."""
    checkpoint_every: Count = 10
    """Number of batches after which whole weights are stored, so that fewer changes must be reapplied."""

    @model_validator(mode="after")
    def _check(self) -> EditSection:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}: choose one of {', '.join(sorted(METHODS))}")
        if sorted(set(self.layers)) != self.layers:
            raise ValueError(f"layers {self.layers} must ascend without repeats")
        if self.layers[0] < 0 or self.z_layer < self.layers[-1]:
            raise ValueError(f"z_layer {self.z_layer} must not be below an edited layer {self.layers}")
        options, given = self.options, self.model_extra or {}
        self.chosen.check(options, self.layers, self.z_layer, self.batch_size)
        given.update({name: getattr(options, name) for name, value in given.items() if value is not None})
        return self

    @property
    def chosen(self) -> Method[Any]:
        """The chosen method."""
        return METHODS[self.method]

    @property
    def options(self) -> MethodOptions:
        """The method's options, with its defaults filled in. Raises InvalidOption for an option of another method."""
        given = {name: value for name, value in (self.model_extra or {}).items() if value is not None}
        return parse_options(self.method, given, tuple(type(self).model_fields))


class EvaluationSection(Section):
    """What is measured: on all facts before, after and at checkpoints, and on each batch's own facts after it."""

    metrics: list[str] = ["efficacy", "paraphrase", "neighbourhood"]
    """Metrics on all facts of the run, before and after, and at checkpoints on all facts so far."""
    after_batch: list[str] = ["efficacy"]
    """Metrics on each batch's own facts; none with an empty list."""
    checkpoint_every: int = Field(default=0, ge=0)
    """Number of batches after which all facts so far are evaluated with `metrics`; 0: never."""
    published: bool = False
    """Whether to also compute token accuracy as in published zsRE tables, in a separate column."""
    generation_facts: int = Field(default=0, ge=0, le=10_000_000)
    """Number of facts for which texts and answers are generated and scored at each full evaluation; 0: none."""
    drift: int = Field(default=0, ge=0, le=10_000_000)
    """Number of fixed prompts on which hidden states of base and edited model are compared, likewise; 0: none."""
    perplexity: bool = True
    """Whether to measure held-out perplexity at each full evaluation."""

    @model_validator(mode="after")
    def _check(self) -> EvaluationSection:
        for name in [*self.metrics, *self.after_batch]:
            if name not in METRICS:
                raise ValueError(f"unknown metric {name!r}: choose from {', '.join(METRICS)}")
        for names in (self.metrics, self.after_batch):
            if len(set(names)) != len(names):
                raise ValueError(f"a metric is listed twice in {names}: list each once")
        return self

    def is_checkpoint(self, batch: int) -> bool:
        """Whether all facts so far are evaluated after a batch, counted from 1."""
        return self.checkpoint_every > 0 and batch % self.checkpoint_every == 0


# The number comes first and is strict: Python treats 0 as False, which would turn the strictest gate off.
Share = Annotated[float, Field(ge=0, le=100, strict=True)]
Times = Annotated[float, Field(ge=0, strict=True)]
ByKind = Field(union_mode="left_to_right")


class GatesSection(Section):
    """Limits that an edited model must meet to be released (`editflow apply`); `false` turns a gate off."""

    efficacy: Annotated[Share | Literal[False], ByKind] = 90.0
    """Minimum percent of the batch's own facts that succeed: efficacy success, or accuracy without old answers."""
    retention: Annotated[Share | Literal[False], ByKind] = 90.0
    """The same for facts applied earlier and still active."""
    neighbourhood: Annotated[Share | Literal[False], ByKind] = 10.0
    """Maximum loss of neighbourhood success on the batch's own facts, in points, against the unedited model."""
    perplexity: Annotated[Times | Literal[False], ByKind] = 1.15
    """Maximum ratio of held-out perplexity to that of the unedited model."""
    ability: Annotated[Share | Literal[False], ByKind] = 10.0
    """Maximum loss of accuracy, in points, on any set of `[ability]` against the unedited model."""
    facts: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Maximum number of earlier facts to test for retention; sampled by a hash of their ids."""


class AbilitySection(Section):
    """General ability: public question sets, asked at each full evaluation. `sets` names their sources."""

    sets: dict[str, Address] = {}
    """{set: source} of sst2, mrpc, cola, rte, mmlu, nli: a .jsonl, .json, .csv or .parquet file, a URL, or the hub."""
    count: Count | None = Field(default=100, le=1_000_000)
    """Number of questions per set; a larger count only adds."""
    shots: int = Field(default=0, ge=0, le=1000)
    """Number of answered examples before each question: the first records of the source, which are not asked."""
    seed: Seed = 0
    """Seed for the sample of questions and the order of the examples."""
    modes: list[str] = list(MODES)
    """By likelihood of the options, by generation, or both; scores are separate, never mixed."""
    tokens: Annotated[int, Field(ge=1, le=1000)] = TOKENS
    """Maximum number of tokens of a generated answer."""

    @model_validator(mode="after")
    def _check(self) -> AbilitySection:
        for name in self.sets:
            ability_set(name)
        check_modes(self.modes)
        return self


class Variant(Section):
    """A row of a comparison: the spec with some keys changed, such as `edit.method = "memit"`."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)
    """The name of its run, after the name of the spec."""
    label: str = Field(default="", max_length=60)
    """Its label in tables and plots; default: its name."""
