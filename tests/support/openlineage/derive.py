"""Regenerates schema.json, the JSON Schema of the OpenLineage events that EditFlow exports:

    python -m pip install openlineage-python==1.54.0     # in a separate environment
    python tests/support/openlineage/derive.py

It is derived from the classes of OpenLineage's client (Apache-2.0), which its authors generate from their
specification: the fields with type and format, and which are required. No test runs this script.
"""

from __future__ import annotations

import json
import types
import typing
from enum import Enum
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attr

FACETS = {
    "parent_run": "ParentRunFacet",
    "processing_engine_run": "ProcessingEngineRunFacet",
    "error_message_run": "ErrorMessageRunFacet",
    "job_type_job": "JobTypeJobFacet",
    "dataset_version_dataset": "DatasetVersionDatasetFacet",
    "schema_dataset": "SchemaDatasetFacet",
    "output_statistics_output_dataset": "OutputStatisticsOutputDatasetFacet",
}
FILLED = {"producer", "schemaURL", "_producer", "_schemaURL"}
"""Required fields that have a default only because the client fills them in."""
FORMATS = {"runid_check": "uuid", "eventtime_check": "date-time"}
FORMATS |= dict.fromkeys(("producer_check", "schemaurl_check", "_producer_check", "_schemaurl_check"), "uri")
PLAIN = {str: "string", int: "integer", bool: "boolean", float: "number"}


def of_class(kind: type, known: dict[str, Any]) -> dict[str, Any]:
    """A reference to the definition of a class, which the first reference creates."""
    name = (
        kind.__name__ if kind.__module__.endswith("base") else f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    )
    if name not in known:
        known[name] = {}
        hints, fields = typing.get_type_hints(kind), attr.fields(kind)
        properties = {f.name: of_type(hints[f.name], known) | of_validator(f.validator) for f in fields}
        required = sorted(f.name for f in fields if f.default is attr.NOTHING or f.name in FILLED)
        known[name] = {"type": "object", "properties": properties, "required": required}
    return {"$ref": f"#/$defs/{name}"}


def of_type(hint: Any, known: dict[str, Any]) -> dict[str, Any]:
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    inside = [part for part in typing.get_args(hint) if part is not types.NoneType]
    if typing.get_origin(hint) in {types.UnionType, typing.Union} and len(inside) == 1:
        return of_type(inside[0], known)
    if typing.get_origin(hint) is list:
        return {"type": "array", "items": of_type(inside[0], known)}
    if typing.get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": of_type(inside[1], known)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if attr.has(hint):
        return of_class(hint, known)
    raise TypeError(f"no schema for {hint}")


def of_validator(found: Any) -> dict[str, Any]:
    return {} if found is None else {"format": FORMATS[found.__name__]}


def main() -> None:
    known: dict[str, Any] = {}
    package = "openlineage.client.generated"
    event = of_class(import_module(f"{package}.base").RunEvent, known)
    facets = {}
    for module, name in FACETS.items():
        kind = getattr(import_module(f"{package}.{module}"), name)
        facets[kind._get_schema()] = of_class(kind, known)
    comment = f"Read off the classes of openlineage-python {version('openlineage-python')} (Apache-2.0) by derive.py"
    schema = {
        "$comment": comment,
        **event,
        "facets": dict(sorted(facets.items())),
        "$defs": dict(sorted(known.items())),
    }
    text = ",\n".join(f'"{key}": {_lines(value)}' for key, value in schema.items())
    Path(__file__).with_name("schema.json").write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def _lines(value: Any) -> str:
    """JSON with one line per entry of an object."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()) + "\n}"


if __name__ == "__main__":
    main()
