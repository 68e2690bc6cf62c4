"""The metrics that a run's spec asks for, so that tables can name those its facts do not support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.storage.records.renamed_keys import with_new_names

TEXTS = ("fluency", "consistency", "essence")


def asked(spec: Mapping[str, Any]) -> list[str]:
    """The metrics by the names under which tables show them; none of a spec that says nothing of evaluation."""
    wanted = with_new_names(spec).get("evaluation")
    if not isinstance(wanted, Mapping):
        return []
    named = wanted.get("metrics")
    metrics = [name for name in named if isinstance(name, str)] if isinstance(named, list | tuple) else []
    return [*metrics, *(TEXTS if wanted.get("generation_facts") else ()), *(("drift",) if wanted.get("drift") else ())]
