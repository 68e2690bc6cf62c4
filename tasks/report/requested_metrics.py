"""The metrics that a run's spec requests. Tables list those that the facts do not support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.storage.records.renamed_keys import with_new_names

TEXT_METRICS = ("fluency", "consistency", "essence")


def requested_metrics(spec: Mapping[str, Any]) -> list[str]:
    """The requested metrics by their names in tables. Empty for a spec without a section `evaluation`."""
    evaluation = with_new_names(spec).get("evaluation")
    if not isinstance(evaluation, Mapping):
        return []
    names = evaluation.get("metrics")
    metrics = [name for name in names if isinstance(name, str)] if isinstance(names, list | tuple) else []
    texts = TEXT_METRICS if evaluation.get("generation_facts") else ()
    return [*metrics, *texts, *(("drift",) if evaluation.get("drift") else ())]
