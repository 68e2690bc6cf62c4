"""`prefect.yaml` is valid, and `editflow up` refuses invalid files, which Prefect would silently accept."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from support.error_checks import refused
from support.tiny_world import editflow

from editflow.flows.orchestration.background_services import POOL
from editflow.flows.orchestration.deployment_file import SCHEDULES, faults, schedule_faults
from editflow.flows.spec.loading import load_shared_spec

ROOT = Path(__file__).parents[3]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())


def test_the_file_is_valid_and_its_specs_load() -> None:
    assert list(faults(FILE, ROOT)) == []
    specs = {one["parameters"]["spec"] for one in FILE["deployments"] if "spec" in one.get("parameters", {})}
    assert {load_shared_spec(ROOT / spec).name for spec in specs} >= {"demo", "serve"}


@pytest.mark.parametrize("deployment", FILE["deployments"], ids=lambda one: one["name"])
def test_a_deployment_is_a_flow_by_its_dotted_name_for_our_worker(deployment: dict[str, Any]) -> None:
    """A file entrypoint would put flows/ itself on the import path, where its modules shadow others."""
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    assert deployment["entrypoint"] == f"{flow.fn.__module__}.{flow.fn.__name__}"
    flow.validate_parameters(deployment.get("parameters", {}))
    assert deployment["work_pool"]["name"] == POOL
    assert deployment["concurrency_limit"]["limit"] == 1
    assert deployment["tags"][0] == "editflow"


def test_every_kind_of_schedule_is_used_and_names_differ() -> None:
    schedules = [schedule for one in FILE["deployments"] for schedule in one.get("schedules", ())]
    assert {kind for kind in SCHEDULES if any(kind in schedule for schedule in schedules)} == set(SCHEDULES)
    names = [one["name"] for one in FILE["deployments"]]
    assert len(set(names)) == len(names)
    assert {"demo", "prepare", "apply", "evaluate", "reproduce", "clean"} == set(names)


def test_the_schedules_of_the_how_to_are_valid() -> None:
    page = (ROOT / "docs/howto/scheduling.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    schedules = yaml.safe_load(block)["schedules"]
    assert [fault for schedule in schedules for fault in schedule_faults(schedule)] == []
    assert len(schedules) == len(SCHEDULES)


APPLY = next(n for n, one in enumerate(FILE["deployments"]) if one["name"] == "apply")
CONTROLS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("pulls",), [], "unknown key 'pulls'; did you mean 'pull'?"),
    (("deployments",), [], "no list of `deployments`"),
    (("deployments", APPLY), "apply", "not a mapping"),
    (("deployments", APPLY, "schedulse"), [], "apply: unknown key 'schedulse'; did you mean 'schedule'?"),
    (("deployments", APPLY, "work_pool", "nam"), "editflow", "unknown key 'work_pool.nam'; did you mean 'name'?"),
    (("deployments", APPLY, "concurrency_limit", "limits"), 2, "unknown key 'concurrency_limit.limits'"),
    (("deployments", APPLY, "concurrency_limit", "collision_strategy"), "CANCEL", "unknown collision_strategy"),
    (("deployments", APPLY, "concurrency_limit", "limit"), "one", "concurrency_limit"),
    (("deployments", APPLY, "schedules", 0, "timezon"), "UTC", "timezon: Extra inputs are not permitted"),
    (("deployments", APPLY, "schedules", 0, "cron"), "0 25 * * *", 'Invalid cron string: "0 25 * * *"'),
    (("deployments", APPLY, "schedules", 0, "timezone"), "Europe/Atlantis", "timezone: Invalid timezone"),
    (("deployments", APPLY, "schedules", 0, "interval"), 60, "Exactly one"),
    (("deployments", APPLY, "parameters", "specs"), "specs/serve.toml", "no parameter 'specs'; did you mean 'spec'?"),
    (("deployments", APPLY, "parameters", "spec"), "specs/server.toml", "no file specs/server.toml"),
    (
        ("deployments", APPLY, "entrypoint"),
        "editflow.flows.apply.apply_edit",
        "no flow editflow.flows.apply.apply_edit",
    ),
    (("deployments", APPLY, "entrypoint"), "flows.apply.apply_edits", "begin it with editflow."),
    (("deployments", APPLY, "entrypoint"), "flows.appply.apply_edits", "no flow flows.appply.apply_edits"),
    (("deployments", APPLY, "entrypoint"), "flows/apply.py:apply_edit", "no flow flows/apply.py:apply_edit"),
    (("deployments", APPLY, "entrypoint"), None, "no flow None"),
]


@pytest.mark.parametrize(("path", "value", "fragment"), CONTROLS, ids=[control[2] for control in CONTROLS])
def test_a_mistake_is_found(path: tuple[Any, ...], value: Any, fragment: str) -> None:
    """The controls."""
    file = copy.deepcopy(FILE)
    here: Any = file
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    found = list(faults(file, ROOT))
    assert any(fragment in fault for fault in found), found


def test_a_file_entrypoint_is_found_by_its_path() -> None:
    file = copy.deepcopy(FILE)
    file["deployments"][APPLY]["entrypoint"] = "flows/apply.py:apply_edits"
    assert list(faults(file, ROOT)) == []


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("deployments: [\n", "line 2: not YAML"),
        ("", "no list of `deployments`"),
        ("deployments:\n- {name: a, entrypoint: x.y, schedulse: []}\n", "unknown key 'schedulse'"),
        (None, "no "),
        ("\udc80", "UTF-8"),
    ],
)
def test_a_wrong_file_is_reported_before_anything_is_started(tmp_path: Path, text: str | None, fragment: str) -> None:
    file, home = tmp_path / "prefect.yaml", tmp_path / "home"
    if text is not None:
        file.write_bytes(text.encode(errors="surrogateescape"))
    refused(editflow("up", "--file", file, "--home", home), str(file), fragment)
    assert not home.exists()
