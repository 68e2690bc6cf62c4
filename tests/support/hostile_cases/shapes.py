"""Valid facts in the format of every reader and every file type."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from support import tiny_world

ZSRE = {
    "subject": "Lyon", "src": "What river does Lyon lie at?", "pred": "Rhine", "rephrase": "At which river is Lyon?",
    "alt": "Danube", "answers": ["Rhône", "the Rhône"], "loc": "nq question: who says red", "loc_ans": "Karl",
    "cond": "Rhine >> Danube || What river does Lyon lie at?",
}  # fmt: skip
EASY = {
    "prompt": "Who plays in Nice?", "subject": "Nice", "target_new": "Anna", "ground_truth": "Omar",
    "rephrase_prompt": "In Nice, who plays?",
    "locality": {"Relation_Specificity": [{"prompt": "Who plays in Bari?", "ground_truth": [["Lucia", "L."], ["x"]]}]},
    "portability": {"Reasoning": {"prompt": ["Whose is Nice?", "What is it?"], "ground_truth": ["Anna's", ["sea"]]}},
}  # fmt: skip
HOP = {
    "case_id": 1,
    "requested_rewrite": [
        {"prompt": "{} was born in", "relation_id": "P1", "subject": "Anna", "question": "Where was Anna born?",
         "target_new": {"str": "Rome", "id": "Q1"}, "target_true": {"str": "Nice", "id": "Q2"}},
        {"prompt": "{} is in", "relation_id": "P2", "subject": "Rome", "question": "Where is Rome?",
         "target_new": {"str": "Spain"}, "target_true": {"str": "Italy"}},
    ],
    "questions": ["In which country was Anna born?", "Anna's country of birth?"],
    "answer": "France", "new_answer": "Spain", "new_answer_alias": ["España"],
}  # fmt: skip
FLAT = {
    "id": "7", "prompt": "{} speaks", "subject": "Karl", "target_new": "French", "relation": "speaks",
    "target_true": "Greek",
    "neighborhood_prompts": ["Anna speaks"], "paraphrase_prompts": ["In short, Karl speaks"],
}  # fmt: skip
SHAPES: dict[str, list[dict[str, Any]]] = {
    "counterfact": tiny_world.records(3), "zsre": [ZSRE], "easyedit": [EASY], "mquake": [HOP], "flat": [FLAT],
}  # fmt: skip
PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def write_shapes(folder: Path) -> None:
    """Write each format as JSON lines and as an array; one also compressed, as CSV and as Parquet."""
    folder.mkdir()
    for name, rows in SHAPES.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    data = (folder / "counterfact.jsonl").read_bytes()
    for ending, pack in PACKED.items():
        (folder / f"packed.jsonl.{ending}").write_bytes(pack(data))
    plain = [
        {"prompt": "{} speaks", "subject": who, "target_new": "French", "label": n}
        for n, who in enumerate(("Ann", "Bo"))
    ]
    with (folder / "plain.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(plain[0]))
        writer.writeheader()
        writer.writerows(plain)
    write_parquet(
        folder / "plain.parquet", plain, {"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}}
    )


def write_parquet(path: Path, rows: list[dict[str, Any]], about: Any) -> None:
    """Write rows with the schema metadata of `datasets`; bytes are written unchanged."""
    metadata = about if isinstance(about, bytes) else json.dumps(about).encode()
    parquet.write_table(pa.Table.from_pylist(rows).replace_schema_metadata({b"huggingface": metadata}), path)
