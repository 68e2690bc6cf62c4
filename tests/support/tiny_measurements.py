"""The tiny world with facts, texts and questions for every measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from editflow.editing.metrics.registry import METRICS
from support.tiny_world import records, write_lines

MEASURES = (
    f"evaluation.metrics={json.dumps(list(METRICS))}",
    "evaluation.published=true", "evaluation.generation_facts=3", "evaluation.drift=8", "texts.tokens=12",
    "texts.answer_tokens=3", "ability.count=3", "ability.tokens=2",
)  # fmt: skip
"""Settings of a run with every measurement."""


def everything(folder: Path) -> tuple[str, ...]:
    """Write facts, reference texts and questions into a folder; returns settings that use them, with MEASURES."""
    rows = _flat(records(6))
    facts = write_lines(folder / "facts.jsonl", rows)
    targets = [row["target_new"] for row in rows]
    texts = [{"relation": "r", "target": target, "text": f"the {target} is in the sea"} for target in targets]
    references = write_lines(folder / "references.jsonl", texts)
    clear = [{"sentence": f"the sea is blue {n}", "label": n % 2} for n in range(4)]
    sets = write_lines(folder / "sst2.jsonl", clear)
    given = (f"requests.source={facts}", f"requests.references={references}", f'ability.sets={{sst2="{sets}"}}')
    return (*given, *MEASURES)


def _flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same facts in EasyEdit's format, with locality and portability questions."""
    found = []
    for n, row in enumerate(rows):
        rewrite = row["requested_rewrite"]
        found.append({
            "id": str(n), "prompt": rewrite["prompt"].replace("{}", rewrite["subject"], 1),
            "subject": rewrite["subject"], "target_new": rewrite["target_new"]["str"],
            "ground_truth": rewrite["target_true"]["str"], "relation": "r",
            "paraphrase_prompts": row["paraphrase_prompts"], "neighborhood_prompts": row["neighborhood_prompts"],
            "generation_prompts": [f"it is {rewrite['subject']} who"],
            "locality": {"other": [{"prompt": f"where the sea is {n}", "ground_truth": "blue"}]},
            "portability": {"hop": [{"prompt": f"he who says {n}", "ground_truth": rewrite["target_new"]["str"]}]},
        })  # fmt: skip
    return found
