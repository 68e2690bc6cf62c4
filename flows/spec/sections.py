"""The sections of a run's spec: every key with its default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from editflow.editing.editors.method import Method
from editflow.editing.editors.methods import METHODS, options_of
from editflow.editing.editors.options import MethodOptions
from editflow.editing.metrics.ability.modes import TOKENS, WAYS, check_ways
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
    """The type in which it is loaded and edited."""
    device: str = "cpu"
    """Where it runs, as torch names it; `cuda` for a GPU."""


class CorpusSection(Section):
    """Preserved knowledge: a seeded sample of documents, cut to `tokens` tokens in separate `partitions`."""

    source: Address = Address("wikipedia-sample")
    """The packaged sample, a .txt, .jsonl, .parquet, .xml or .xml.bz2 file, or `hub:NAME[:CONFIG][@REVISION]`."""
    seed: Seed = 0
    """Of the choice of documents and their order."""
    documents: Annotated[int, Field(ge=1, le=10_000_000)] = 90
    """How many are sampled, at most."""
    held_out_documents: Annotated[int, Field(ge=1, le=10_000_000)] = 10
    """How many more are held out for perplexity; of a small corpus at most one in five."""
    min_characters: Count = 1000
    """Shorter documents are passed over."""
    max_scanned_documents: Count = 100_000
    """How many sufficiently long documents are read, from the start of the corpus."""
    window: Annotated[int, Field(ge=2, le=2**20)] = 256
    """Tokens per window; a document is cut into windows, and each is read separately."""
    tokens: Annotated[int, Field(ge=1, le=10**11)] = 120_000
    """Tokens of all partitions together, at most: ten times the width of the keys or more."""
    partitions: Annotated[int, Field(ge=1, le=4096)] = 4
    """Parts with separate moments, merged at the end; a killed run loses at most one."""
    tokens_per_pass: Annotated[int, Field(ge=1, le=2**24)] = 2048
    """Tokens that share a forward pass: bounds memory, moves the last bits."""
    held_out_tokens: Annotated[int, Field(ge=2, le=10**9)] = 4096
    """Tokens on which perplexity is measured, at most."""
    withdrawn: list[str] = Field(default=[])
    """Names of sampled documents to do without. Each leaves a gap in its partition; the others stay what they are."""
    layers: list[int] | None = Field(default=None, min_length=1)
    """The layers whose moments are gathered, ascending, where more than those edited: one pass for many runs."""


class RequestsSection(Section):
    """Which facts to edit: the first `count` of the file in an order shuffled by `seed`."""

    source: Address
    """A .jsonl, .json, .csv or .parquet file beside the spec or in the working folder, a URL, hub:NAME[:CONFIG], or,
    for `editflow apply`, queue:NAME."""
    dataset: str | None = None
    """The shape of its records, where the first of them does not tell; docs/requests.md has the names."""
    references: Address | None = None
    """A .jsonl file of texts about targets (relation, target, text), for the metric consistency."""
    count: Count | None = None
    """How many; all of them unless given. A larger count only adds to the end."""
    seed: Seed = 0
    """Of the choice, and of the order in which they are edited."""
    exclude_probes: int = Field(default=0, ge=0, le=2**53 - 1)
    """So many facts with neighbours, the first under `seed`, are left out, and all others about their subjects."""
    order: Seed | None = None
    """Another seed for the order of those that were chosen; without it the order is that of the choice."""
    withdrawn: list[str] = Field(default=[])
    """Ids of chosen facts to do without. Each leaves a gap in its batch; the batches before stay what they are."""

    @property
    def queue(self) -> str | None:
        """The name of the queue that the requests come from, if they come from one."""
        return self.source.removeprefix("queue:") if self.source.startswith("queue:") else None


class EditSection(Section):
    """How to edit: method, layers, and batches of `batch_size` facts; whole weights every `checkpoint_every`.

    All other keys are options of the method, see editing/editors/methods.py.
    """

    model_config = ConfigDict(extra="allow")

    method: str = "alphaedit"
    """How a change is solved for."""
    layers: list[int] = Field(default=[4, 5, 6, 7, 8], min_length=1)
    """The layers whose down-projection is changed, ascending from 0."""
    z_layer: int = 8
    """The layer whose output the target values are sought for; not below an edited one."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Facts that are solved for together; the next batch starts from the edited model."""
    checkpoint_every: Count = 10
    """Batches after which whole weights are kept, so that fewer changes have to be applied again."""

    @model_validator(mode="after")
    def _check(self) -> EditSection:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}: choose one of {', '.join(sorted(METHODS))}")
        if sorted(set(self.layers)) != self.layers:
            raise ValueError(f"layers {self.layers} must ascend without repeats")
        if self.layers[0] < 0 or self.z_layer < self.layers[-1]:
            raise ValueError(f"z_layer {self.z_layer} must not lie below an edited layer {self.layers}")
        options, given = self.options, self.model_extra or {}
        self.chosen.check(options, self.layers, self.z_layer, self.batch_size)
        given.update({name: getattr(options, name) for name, value in given.items() if value is not None})
        return self

    @property
    def chosen(self) -> Method[Any]:
        """The method."""
        return METHODS[self.method]

    @property
    def options(self) -> MethodOptions:
        """The method's options, its own defaults where the spec is silent. InvalidOption for one of another method."""
        given = {name: value for name, value in (self.model_extra or {}).items() if value is not None}
        return options_of(self.method, given, tuple(type(self).model_fields))


class EvaluationSection(Section):
    """What is measured: on all facts before, after and at checkpoints, and on each batch's own facts right after it."""

    metrics: list[str] = ["efficacy", "paraphrase", "neighbourhood"]
    """On all facts of the run, before and after, and at checkpoints on all so far."""
    after_batch: list[str] = ["efficacy"]
    """On each batch's own facts; none with an empty list."""
    checkpoint_every: int = Field(default=0, ge=0)
    """Every how many batches all facts so far are asked with `metrics`; 0: never."""
    published: bool = False
    """Whether token accuracy is also counted as published zsRE panels do, in a column of its own."""
    generation_facts: int = Field(default=0, ge=0, le=10_000_000)
    """For how many facts texts and answers are generated and scored whenever all facts are evaluated; 0: for none."""
    drift: int = Field(default=0, ge=0, le=10_000_000)
    """On how many fixed prompts the hidden states of base and edited model are compared, likewise; 0: on none."""
    perplexity: bool = True
    """Whether held-out documents are evaluated whenever all facts are."""

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
        """Whether all facts so far are asked after a batch, counted from 1."""
        return self.checkpoint_every > 0 and batch % self.checkpoint_every == 0


# Number first, and no other kind of it: to Python 0 is false, and the strictest gate would stand open.
Share = Annotated[float, Field(ge=0, le=100, strict=True)]
Times = Annotated[float, Field(ge=0, strict=True)]
ByKind = Field(union_mode="left_to_right")


class GatesSection(Section):
    """What an edited model must hold to become the release (`editflow apply`); a gate set to false is not asked."""

    efficacy: Annotated[Share | Literal[False], ByKind] = 90.0
    """Least percent of the batch's own facts that win: the success of efficacy, or its accuracy without old answers."""
    retention: Annotated[Share | Literal[False], ByKind] = 90.0
    """The same of facts that were applied before and are still wanted."""
    neighbourhood: Annotated[Share | Literal[False], ByKind] = 10.0
    """Most points by which the neighbourhood success of these facts may lie below the unedited model's."""
    perplexity: Annotated[Times | Literal[False], ByKind] = 1.15
    """Most times the unedited model's perplexity on held-out documents."""
    ability: Annotated[Share | Literal[False], ByKind] = 10.0
    """Most points of accuracy that any set of `[ability]` may lose against the unedited model."""
    facts: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Maximum number of earlier facts to test for retention; sampled by a hash of their ids."""


class AbilitySection(Section):
    """General ability: public questions, asked whenever all facts are. `sets` says where each set comes from."""

    sets: dict[str, Address] = {}
    """{set: source} of sst2, mrpc, cola, rte, mmlu, nli: a .jsonl, .json, .csv or .parquet file, a URL, or the hub."""
    count: Count | None = Field(default=100, le=1_000_000)
    """Questions of each set; a larger count only adds."""
    shots: int = Field(default=0, ge=0, le=1000)
    """Answered examples before each question: the first records of the source, which are not asked."""
    seed: Seed = 0
    """Of the choice of questions and the order of the examples."""
    modes: list[str] = list(WAYS)
    """By the likelihood of the options, by generation, or both: separate scores, never mixed."""
    tokens: Annotated[int, Field(ge=1, le=1000)] = TOKENS
    """Tokens that an answer may have by generation."""

    @model_validator(mode="after")
    def _check(self) -> AbilitySection:
        for name in self.sets:
            ability_set(name)
        check_ways(self.modes)
        return self


class Variant(Section):
    """A row of a comparison: the spec with some of its keys set differently, such as `edit.method = "memit"`."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)
    """What its run is called, behind the spec's name."""
    label: str = Field(default="", max_length=60)
    """What tables and pictures call it; its name unless given."""
