"""The spec of a run, as pydantic models."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field, model_validator

from editflow.editing.editors.options import ContextOptions, TargetValueOptions
from editflow.editing.linalg.threshold import Threshold
from editflow.editing.metrics.texts.options import GenerationOptions
from editflow.flows.spec.sections import (
    AbilitySection,
    CorpusSection,
    Count,
    EditSection,
    EvaluationSection,
    GatesSection,
    ModelSection,
    RequestsSection,
    Section,
    Seed,
    Variant,
)


class RunSpec(Section):
    """A whole run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)
    """The name of the run and of its edited model."""
    seeds: list[Seed] = Field(default=[], max_length=1000)
    """One run per seed, called NAME-SEED; the seed sets requests.order (the facts stay the same) and contexts.seed."""
    threads: Count | None = Field(default=None, le=256)
    """Number of torch threads; default: all cores. Another number changes the last bits."""
    model: ModelSection = ModelSection()
    corpus: CorpusSection = CorpusSection()
    null_space: Threshold = Threshold()
    requests: RequestsSection
    contexts: ContextOptions = ContextOptions()
    target_values: TargetValueOptions = TargetValueOptions()
    edit: EditSection = EditSection()
    evaluation: EvaluationSection = EvaluationSection()
    texts: GenerationOptions = GenerationOptions()
    ability: AbilitySection = AbilitySection()
    gates: GatesSection = GatesSection()
    variants: list[Variant] = Field(default=[], max_length=1000)
    """For `editflow compare`: each has a `name`, an optional `label` for tables, and the keys that differ."""

    @model_validator(mode="after")
    def _check(self) -> RunSpec:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {self.seeds}: one is listed twice")
        self._check_moment_layers()
        return self

    @property
    def moment_layers(self) -> list[int]:
        """The layers whose second moments are gathered."""
        return self.corpus.layers or self.edit.layers

    def _check_moment_layers(self) -> None:
        if self.corpus.layers is None:
            return
        if sorted(set(self.moment_layers)) != self.moment_layers or self.moment_layers[0] < 0:
            raise ValueError(f"corpus.layers {self.moment_layers} must ascend from 0 without repeats")
        if missing := sorted(set(self.edit.layers) - set(self.moment_layers)):
            raise ValueError(f"edit.layers {missing} are missing from corpus.layers: add them, or remove corpus.layers")

    def each(self) -> list[RunSpec]:
        """The specs of the single runs: one per seed."""
        return [self._with_seed(seed) for seed in self.seeds] or [self]

    def _with_seed(self, seed: int) -> RunSpec:
        requests = self.requests.model_copy(update={"order": seed})
        contexts = replace(self.contexts, seed=seed)
        return self.model_copy(
            update={"name": f"{self.name}-{seed}", "seeds": [], "requests": requests, "contexts": contexts}
        )
