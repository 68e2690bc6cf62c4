"""Validates a deployment file before anything is started. Prefect itself ignores misspelt keys."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

# Private, but the only list of the keys that Prefect reads; test_deployment_file.py notices if it changes.
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from pydantic import BaseModel, ValidationError

from editflow.flows.console.errors import UsageError
from editflow.flows.console.input_files import read_small

SCHEDULES: Mapping[str, type[BaseModel]] = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
STRATEGIES = ("ENQUEUE", "CANCEL_NEW")


def check(file: Path) -> None:
    """Raise UsageError with the first fault of a file and the number of the others."""
    try:
        found = yaml.safe_load(read_small(file, UsageError))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{file}{where}: not YAML ({getattr(error, 'problem', None) or error})") from None
    first, *others = [*faults(found, file.resolve().parent), None]
    if first is not None:
        more = f"; and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(f"{file}: {first}{more}")


def faults(found: Any, folder: Path) -> Iterator[str]:
    """The faults of a deployment file in a folder, one line each."""
    if not isinstance(found, Mapping) or not isinstance(found.get("deployments"), list) or not found["deployments"]:
        yield "it has no list of `deployments`"
        return
    yield from _unknown(found, PrefectYamlModel, "")
    for number, one in enumerate(found["deployments"], 1):
        if isinstance(one, Mapping):
            yield from (f"deployment {one.get('name', number)}: {fault}" for fault in _deployment_faults(one, folder))
        else:
            yield f"deployment {number}: not a mapping of keys"


def _deployment_faults(deployment: Mapping[str, Any], folder: Path) -> Iterator[str]:
    schedules = deployment.get("schedules") or []
    try:
        DeploymentConfig.model_validate({key: value for key, value in deployment.items() if key != "schedules"})
    except ValidationError as error:
        yield _first_problem(error)
        return
    yield from _unknown(deployment, DeploymentConfig, "")
    yield from _flow_faults(deployment, folder)
    limit = deployment.get("concurrency_limit")
    if isinstance(limit, Mapping) and limit.get("collision_strategy", STRATEGIES[0]) not in STRATEGIES:
        yield f"unknown collision_strategy {limit['collision_strategy']!r}: choose {' or '.join(STRATEGIES)}"
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        yield from schedule_faults(schedule)


def _flow_faults(deployment: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Faults of its flow and parameters, found in the source without importing it."""
    entrypoint, parameters = str(deployment.get("entrypoint")), deployment.get("parameters") or {}
    if _is_outside_the_package(entrypoint, folder):
        yield f"flow {entrypoint}: begin it with editflow., as in editflow.{entrypoint}"
        return
    tree = _parse_module(entrypoint, folder)
    name = entrypoint.replace(":", ".").rpartition(".")[2]
    if tree is None or name not in _defined_names(tree):
        yield f"no flow {entrypoint}: write module.function, such as editflow.flows.apply.apply_edits"
        return
    taken = _parameters(tree, name)
    for unknown in () if taken is None else sorted(set(parameters) - taken):
        yield f"its flow has no parameter {unknown!r}{_near(unknown, taken or ())}"
    spec = parameters.get("spec")
    if isinstance(spec, str) and "{{" not in spec and not (folder / spec).is_file():
        yield f"no file {spec} for its parameter spec"


def schedule_faults(schedule: Any) -> Iterator[str]:
    """The faults that Prefect's own schedule models find."""
    try:
        RawScheduleConfig.model_validate(schedule)
        (kind,) = SCHEDULES.keys() & schedule.keys()
        SCHEDULES[kind].model_validate({k: schedule[k] for k in (kind, "timezone", "anchor_date") if k in schedule})
    except ValidationError as error:
        yield f"schedule {schedule}: {_first_problem(error)}"


def _unknown(given: Any, model: type[Any], where: str) -> Iterator[str]:
    """Keys that Prefect would ignore."""
    names = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key in given:
        if key not in names:
            yield f"unknown key {where + str(key)!r}{_near(str(key), names)}"
    for part in ("work_pool", "concurrency_limit"):
        if isinstance(given.get(part), Mapping) and part in names:
            inner = next(kind for kind in _kinds(names[part]) if hasattr(kind, "model_fields"))
            yield from _unknown(given[part], inner, f"{part}.")


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))


def _parse_module(entrypoint: str, folder: Path) -> ast.Module | None:
    """The syntax tree of an entrypoint's module: a file of the folder, or an importable module."""
    place, colon, _ = entrypoint.partition(":")
    module = place if colon else place.rpartition(".")[0]
    paths = [folder / (place if colon else f"{module.replace('.', '/')}.py")]
    if not colon and not paths[0].is_file():
        with suppress(ImportError, ValueError):
            found = importlib.util.find_spec(module)
            paths = [Path(found.origin)] if found and found.origin else []
    with suppress(OSError, SyntaxError, ValueError):
        return ast.parse(paths[0].read_text(encoding="utf-8")) if paths else None
    return None


def _is_outside_the_package(entrypoint: str, folder: Path) -> bool:
    """Whether a dotted name is missing the leading `editflow.`: a worker would not find the module."""
    name = f"{entrypoint.rpartition('.')[0].replace('.', '/')}.py"
    with suppress(OSError, ValueError):
        return ":" not in entrypoint and (folder / name).samefile(Path(__file__).parents[2] / name)
    return False


def _defined_names(tree: ast.Module) -> set[str]:
    """The names that a module defines."""
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    aliases = (alias for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names)
    return made | stored | {alias.asname or alias.name for alias in aliases}


def _parameters(tree: ast.Module, name: str) -> set[str] | None:
    """The parameters of a function; None if the source does not show them."""
    made = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name]
    if not made or made[-1].args.kwarg:
        return None
    return {argument.arg for argument in (*made[-1].args.args, *made[-1].args.kwonlyargs)}


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _first_problem(error: ValidationError) -> str:
    """The first problem and its key."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg'].removeprefix('Value error, ')}" if place else str(first["msg"])
