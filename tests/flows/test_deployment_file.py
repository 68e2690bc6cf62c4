"""`prefect.yaml` says what it means: Prefect itself would pass over a misspelt key, parameter or file in silence."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel, RawScheduleConfig
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.flows import load_flow_from_entrypoint
from pydantic import ValidationError

from flows.services import POOL
from flows.spec import load_any

ROOT = Path(__file__).parents[2]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
SCHEDULES = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}


def faults(file: Mapping[str, Any]) -> list[str]:
    """What is wrong with a file of deployments, one line each."""
    try:
        read = PrefectYamlModel.model_validate(file).model_dump(by_alias=True, exclude_unset=True)
    except ValidationError as error:
        return [str(error)]
    return [*_unknown(file, read, ""), *(fault for one in file["deployments"] for fault in _of(one))]


def _unknown(given: Any, read: Any, where: str) -> Iterator[str]:
    """The keys that Prefect did not take over."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            if key in read:
                yield from _unknown(value, read[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is unknown"
    elif isinstance(given, list):
        for n, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from _unknown(one, other, f"{where}[{n}]")


def _of(deployment: Mapping[str, Any]) -> Iterator[str]:
    name, parameters = deployment["name"], deployment.get("parameters", {})
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    if deployment["entrypoint"] != f"{flow.fn.__module__}.{flow.fn.__name__}":
        yield f"{name}: the entrypoint is no dotted name of a flow"
    lacking = set(parameters) - set(inspect.signature(flow.fn).parameters)
    yield from (f"{name}: its flow has no parameter {one}" for one in sorted(lacking))
    if "spec" in parameters and not (ROOT / parameters["spec"]).is_file():
        yield f"{name}: no file {parameters['spec']}"
    if deployment["work_pool"]["name"] != POOL:
        yield f"{name}: no worker of ours looks at pool {deployment['work_pool']['name']}"
    if deployment["concurrency_limit"]["collision_strategy"] not in {"ENQUEUE", "CANCEL_NEW"}:
        yield f"{name}: unknown collision strategy"
    for schedule in deployment.get("schedules", ()):
        yield from _never(name, schedule)


def _never(name: str, schedule: Mapping[str, Any]) -> Iterator[str]:
    """Whether Prefect's own schedules take it."""
    try:
        RawScheduleConfig.model_validate(schedule)
        (kind,) = SCHEDULES.keys() & schedule.keys()
        fields = {key: schedule[key] for key in (kind, "timezone", "anchor_date") if key in schedule}
        SCHEDULES[kind].model_validate(fields)
    except ValueError as error:
        yield f"{name}: {error}"


def test_the_file_is_sound_and_its_specs_load() -> None:
    assert faults(FILE) == []
    specs = {one["parameters"]["spec"] for one in FILE["deployments"] if "spec" in one.get("parameters", {})}
    assert {load_any(ROOT / spec).name for spec in specs} >= {"demo", "serve"}


def test_every_kind_of_schedule_is_there_and_names_differ() -> None:
    schedules = [schedule for one in FILE["deployments"] for schedule in one.get("schedules", ())]
    assert {kind for kind in SCHEDULES if any(kind in schedule for schedule in schedules)} == set(SCHEDULES)
    names = [one["name"] for one in FILE["deployments"]]
    assert len(set(names)) == len(names)
    assert {"demo", "prepare", "apply", "evaluate"} <= set(names)


def test_the_schedules_of_the_how_to_are_sound() -> None:
    page = (ROOT / "docs/howto/scheduling.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    shown = yaml.safe_load(block)["schedules"]
    assert [fault for schedule in shown for fault in _never("how-to", schedule)] == []
    assert len(shown) == len(SCHEDULES)


APPLY = next(n for n, one in enumerate(FILE["deployments"]) if one["name"] == "apply")
CONTROLS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("pulls",), [], ".pulls is unknown"),
    (("deployments", APPLY, "schedulse"), [], "schedulse is unknown"),
    (("deployments", APPLY, "work_pool", "nam"), "editflow", "work_pool.nam is unknown"),
    (("deployments", APPLY, "work_pool", "name"), "editfow", "no worker of ours"),
    (("deployments", APPLY, "concurrency_limit", "limits"), 2, "limits is unknown"),
    (("deployments", APPLY, "concurrency_limit", "collision_strategy"), "CANCEL", "unknown collision strategy"),
    (("deployments", APPLY, "schedules", 0, "timezon"), "UTC", "timezon"),
    (("deployments", APPLY, "schedules", 0, "cron"), "0 25 * * *", "cron"),
    (("deployments", APPLY, "schedules", 0, "timezone"), "Europe/Atlantis", "timezone"),
    (("deployments", APPLY, "schedules", 0, "interval"), 60, "Exactly one"),
    (("deployments", APPLY, "parameters", "specs"), "specs/serve.toml", "no parameter specs"),
    (("deployments", APPLY, "parameters", "spec"), "specs/server.toml", "no file specs/server.toml"),
    (("deployments", APPLY, "entrypoint"), "flows/apply.py:apply_edits", "no dotted name"),
]


@pytest.mark.parametrize(("path", "value", "said"), CONTROLS, ids=[control[2] for control in CONTROLS])
def test_a_slip_is_found(path: tuple[Any, ...], value: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls."""
    monkeypatch.chdir(ROOT)  # where `prefect deploy` is said
    file = copy.deepcopy(FILE)
    here: Any = file
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    assert any(said in fault for fault in faults(file)), faults(file)


def test_an_entrypoint_that_does_not_import_is_found() -> None:
    file = copy.deepcopy(FILE)
    file["deployments"][APPLY]["entrypoint"] = "flows.apply.apply_edit"
    with pytest.raises(Exception, match="apply_edit"):
        faults(file)
