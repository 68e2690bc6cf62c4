"""The generated parts of docs/: stages, artifact kinds, views, commands, spec keys and more, derived from the code.

    python tests/docs/generate.py     rewrite every generated part

A part is between `<!-- generated: NAME -->` and `<!-- end: NAME -->`; the rest is written by hand. This module is
next to the tests that compare the parts, because EditFlow does not need it at run time.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

DOCS = Path(__file__).parents[2] / "docs"
_PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)


def refreshed(text: str) -> str:
    """The text of a document with every generated part rewritten. Raises KeyError for an unknown part."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part['name']]()}\n\n{part[3]}", text)


def part_names(text: str) -> list[str]:
    """The names of a document's generated parts."""
    return [part["name"] for part in _PART.finditer(text)]


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of one language in a document of docs/."""
    text = (DOCS / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def kinds() -> str:
    """Every artifact kind with its columns."""
    from editflow.storage.artifacts.kinds import kinds as registered

    rows = [
        (f"`{kind.name}`", kind.about, _columns((field.name, _arrow(str(field.type))) for field in kind.schema))
        for kind in registered()
    ]
    return _table(("kind", "what it is", "columns"), rows)


def views() -> str:
    """Every view with its columns."""
    from editflow.storage.queries.views import views as described

    rows = [(f"`{view.name}`", view.about, _columns(view.columns)) for view in described()]
    return _table(("view", "what a row is", "columns"), rows)


def metrics() -> str:
    """Every metric over prompts, with its question and the expected answer."""
    from editflow.editing.metrics.registry import METRICS

    rows = [
        (f"`{name}`", metric.about, "the new one" if metric.wants_new else "the original one", metric.source)
        for name, metric in METRICS.items()
    ]
    return _table(("metric", "what it asks", "expected answer", "source"), rows)


def scores() -> str:
    """Every score of a prompt."""
    from editflow.editing.metrics.score_columns import COLUMNS

    return _table(("score", "what it is"), [(f"`{column.name}`", column.about) for column in COLUMNS.values()])


def methods() -> str:
    """Every editing method: what it does, the layer statistics it needs, its options with their defaults."""
    from editflow.editing.editors.methods import METHODS

    rows = []
    for name, method in METHODS.items():
        usual = method.options()
        options = ", ".join(f"`{option}` {_plain(getattr(usual, option))}" for option in method.option_names)
        needs = ", ".join(need.replace("_", " ") for need in method.required_statistics(usual)) or "nothing"
        rows.append((f"`{name}`", method.about, needs, options, f"`{method.form}`", method.source))
    head = ("method", "what holds a change, and what is done to it", "needs", "options", "stored as", "source")
    return _table(head, rows)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def commands() -> str:
    """Every command's help."""
    from cyclopts.docs import generate_markdown_docs

    from editflow.flows.cli.registry import app

    text = generate_markdown_docs(app, heading_level=2, generate_toc=False, flatten_commands=True, no_root_title=True)
    # Under `python -m pytest`, cyclopts includes the interpreter's arguments in the command.
    text = re.sub(r"^(editflow [a-z -]+?) -m \S+", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def spec_keys() -> str:
    """Every key of a run's spec, section by section."""
    from editflow.flows.spec.run_spec import RunSpec

    schema = RunSpec.model_json_schema()
    keys = schema["properties"]
    sections = {name: schema["$defs"][_reference(value)] for name, value in keys.items() if _reference(value)}
    top = {name: value for name, value in keys.items() if name not in sections}
    parts = [_section("Top level", schema | {"properties": top}, "")]
    parts += [_section(f"`[{name}]`", section, f"{name}.") for name, section in sections.items()]
    parts.append(f"### Options of the methods, in `[edit]`\n\n{_method_options()}")
    return "\n\n".join(parts)


def _method_options() -> str:
    """Every option of the methods, with the methods that take it and their defaults."""
    from pydantic import TypeAdapter

    from editflow.editing.editors.methods import METHODS

    found: dict[str, tuple[str, str, dict[str, list[str]]]] = {}
    for name, method in METHODS.items():
        for kind in reversed(method.options.__mro__):
            own = [key for key in vars(kind).get("__annotations__", {}) if key in method.option_names]
            described = TypeAdapter(kind).json_schema()["properties"] if own else {}
            for key in own:
                found.setdefault(key, (_type(described[key]), described[key]["description"], {}))
        for key in method.option_names:
            found[key][2].setdefault(_plain(getattr(method.options(), key)), []).append(name)
    rows = [
        (f"`edit.{key}`", kind, "; ".join(f"{value}: {', '.join(names)}" for value, names in defaults.items()), meaning)
        for key, (kind, meaning, defaults) in found.items()
    ]
    return _table(("key", "type", "default: methods", "meaning"), rows)


def stages() -> str:
    """Every stage: kind and version of its artifacts, roles of their parents, settings in the recipe."""
    from editflow.tasks.reproduction.recipes import PAGES
    from editflow.tasks.stages.documents import documents_stage
    from editflow.tasks.stages.model import model_stage
    from editflow.tasks.stages.registry import IMPORTED, STAGES

    made = [model_stage("", ""), documents_stage(""), *STAGES.values(), *PAGES.values()]
    rows = [
        (stage.name, stage.kind, str(stage.version), _roles(stage.roles), _settings(stage.settings)) for stage in made
    ]
    rows += [(kind.replace("_", "-"), kind, "1", "nothing: it is imported", "`content`") for kind in IMPORTED]
    head = ("stage", "kind of artifact", "version", "made from", "settings")
    return _table(head, [(f"`{name}`", f"`{kind}`", *rest) for name, kind, *rest in rows])


def _roles(roles: tuple[str, ...] | None) -> str:
    if roles is None:
        return "each run's artifacts, by its name"
    return ", ".join(f"`{role}`" for role in roles) or "nothing"


def _settings(kind: Any) -> str:
    """The keys of a recipe's settings; keys of a nested class follow its name."""
    hints = get_type_hints(kind)
    names = []
    for one in fields(kind):
        nested = is_dataclass(hints[one.name]) and not hasattr(kind, "recipe")
        names += [f"{one.name}.{inner.name}" for inner in fields(hints[one.name])] if nested else [one.name]
    return ", ".join(f"`{name}`" for name in names) or "none"


def deployments() -> str:
    """Every deployment of prefect.yaml with its schedules."""
    import yaml

    rows = [
        (
            f"`{one['name']}`",
            one["description"],
            f"`{one['entrypoint']}`",
            "; ".join(map(_schedule, one.get("schedules", ()))) or "none: start it by hand",
            f"{one['concurrency_limit']['limit']}, {one['concurrency_limit']['collision_strategy']}",
        )
        for one in yaml.safe_load((DOCS.parent / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    ]
    return _table(("deployment", "what it does", "flow", "schedule", "concurrency limit, on collision"), rows)


def _schedule(schedule: Mapping[str, Any]) -> str:
    kind = next(kind for kind in ("cron", "interval", "rrule") if kind in schedule)
    when = " ".join(str(schedule[kind]).split())
    since = f" s from {schedule['anchor_date']}" if kind == "interval" else ""
    return f"{schedule['slug']}: {kind} `{when}`{since}"


def modules() -> str:
    """Every folder of the code with its files, described by the first sentence of the docstring."""
    parts = []
    for package in ("flows", "tasks", "editing", "storage"):
        for init in sorted((DOCS.parent / package).rglob("__init__.py")):
            folder = init.parent
            rows = [(f"`{file.name}`", _phrase(file)) for file in sorted(folder.glob("*.py")) if file != init]
            about = f"### `{folder.relative_to(DOCS.parent).as_posix()}/`\n\n{_phrase(init)}"
            parts.append(f"{about}\n\n{_table(('file', 'what it holds'), rows)}")
    return "\n\n".join(parts)


def _phrase(file: Path) -> str:
    """The first paragraph of a module's docstring."""
    about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(about.partition("\n\n")[0].split())


PARTS: Mapping[str, Callable[[], str]] = {
    "modules": modules,
    "stages": stages,
    "kinds": kinds,
    "views": views,
    "commands": commands,
    "metrics": metrics,
    "scores": scores,
    "methods": methods,
    "spec-keys": spec_keys,
    "deployments": deployments,
}


def _section(title: str, section: Mapping[str, Any], prefix: str) -> str:
    required = section.get("required", ())
    rows = [
        (f"`{prefix}{name}`", _type(value), "required" if name in required else _default(value), value["description"])
        for name, value in section["properties"].items()
    ]
    about = section.get("description", "")
    return f"### {title}\n\n{about}\n\n{_table(('key', 'type', 'default', 'meaning'), rows)}"


def _reference(value: Mapping[str, Any]) -> str:
    """The name of the section that a property refers to; empty for a plain key."""
    return str(value.get("$ref", "")).rpartition("/")[2]


def _type(value: Mapping[str, Any]) -> str:
    if "anyOf" in value:
        return _type(next(choice for choice in value["anyOf"] if choice["type"] != "null"))
    if _reference(value):
        return "tables"
    if "enum" in value:
        return "one of " + ", ".join(f"`{choice}`" for choice in value["enum"])
    if value.get("format") == "path":
        return "path"
    if value["type"] == "array":
        return f"list of {_type(value['items'])}"
    limit = f" above {value['exclusiveMinimum']:g}" if "exclusiveMinimum" in value else ""
    limit += f" from {value['minimum']:g}" if "minimum" in value else ""
    pattern = f" like `{value['pattern']}`" if "pattern" in value else ""
    return f"{value['type']}{limit}{pattern}"


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    return "none" if default is None else f"`{json.dumps(default)}`"


def _columns(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in columns)


def _arrow(kind: str) -> str:
    """An Arrow type without the names of list items, which differ between versions."""
    return re.sub(r"list<\w+: (\w+)>", r"list of \1", kind)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Rewrite every generated part of every document."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(refreshed(text), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
