"""The flow that runs every variant of every spec under every seed, and compares them on one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any, TypedDict

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client

from editflow.editing.errors import EditingError, first_line
from editflow.editing.models.loading import require_device
from editflow.flows.console.errors import BadSpec
from editflow.flows.console.output import lake_folder, print_line, report_stage
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.pipeline.facts import load_facts
from editflow.flows.pipeline.prerequisites import check_model
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_file import SpecFile
from editflow.flows.spec.variants import Contender, read_contenders
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.renamed_keys import RECIPE_NAMES
from editflow.storage.records.runs import RunRecord, Runs, Use
from editflow.tasks.comparison.comparison_rows import RecordedRow, parent_artifacts, recorded_batches
from editflow.tasks.comparison.comparison_stage import compare, read_files
from editflow.tasks.comparison.comparison_summary import parse_tables, text_rows
from editflow.tasks.console.terminal import quoted
from editflow.tasks.errors import TaskError
from editflow.tasks.models.meta_model import meta_model
from editflow.tasks.sources.corpus import describe_corpus


class RunEnd(TypedDict):
    """How a run of a comparison ended; without its id and state if it failed."""

    name: str
    run: str | None
    state: str | None
    status: str


class Compared(TypedDict):
    """The result of the flow: the comparison's artifact if a run was completed, its rows, and the end of each run."""

    artifact: str | None
    rows: list[RecordedRow]
    runs: list[RunEnd]


def check_sources(contenders: Sequence[Contender]) -> None:
    """Report missing or unreadable devices, facts and corpora before anything is computed."""
    for device in {one.spec.model.device for one in contenders}:
        require_device(device)
    asked = [one.spec.requests.model_copy(update={"order": None}) for one in contenders]
    for wanted in {each.model_dump_json(): each for each in asked}.values():
        load_facts(wanted)
    for source in {one.spec.corpus.source for one in contenders}:
        describe_corpus(source)


def check_models(contenders: Sequence[Contender], lake: Lake) -> None:
    """Report missing models and layers, from configurations on the meta device. The lake is only read."""
    loaded = cache(lambda source, dtype: meta_model(lake, source, dtype))
    for one in contenders:
        try:
            check_model(one.spec, loaded(one.spec.model.source, one.spec.model.dtype).about)
        except (EditingError, TaskError) as error:
            raise BadSpec(f"{one.path}: {one.spec.name!r}: {error}") from None


@flow(name="edit-variant", flow_run_name="{name}", validate_parameters=False)
def edit_variant(name: str, spec: RunSpec, spec_path: str, lake: str) -> str:
    """One run of a comparison; return its id. `name` is the flow run's name in Prefect."""
    del name
    return run_tracked(spec, Lake.open(lake), spec_path, _report, edit_with_retry).run_id


@flow(name="compare", validate_parameters=False)
def compare_specs(
    specs: Sequence[str], settings: Sequence[str] = (), seeds: Sequence[int] | None = None, lake: str | None = None
) -> Compared:
    """Run every variant of the spec files under every seed and compare them.

    A failed run is listed with its reason, and the others continue. What several runs need is computed once. After an
    interruption, running it again continues where it stopped.
    """
    place = Lake.open(lake_folder(lake))
    passed_on = [each for spec in specs if isinstance(spec, SpecFile) for each in spec.content]
    contenders = _grouped(passed_on or read_contenders([Path(spec) for spec in specs], settings, seeds))
    total = sum(len(one.runs) for _, one in contenders)
    rows: list[RecordedRow] = []
    ends: list[RunEnd] = []
    parents: dict[str, list[str]] = {}
    for title, one in contenders:
        row: RecordedRow = {
            "label": one.label,
            "name": one.spec.name,
            "group": title,
            "settings": _setting_pairs(one),
            "runs": [],
        }
        for seed, spec in one.runs:
            print_line(f"[bold]run {len(ends) + 1} of {total}[/]: {quoted(spec.name)}{_so_far(ends)}")
            end = _run(spec, one, place)
            if isinstance(end, RunRecord):
                parents[spec.name] = parent_artifacts(place, end)
                row["runs"].append({"seed": seed, "name": spec.name, "batches": recorded_batches(end)})
                ends.append({"name": spec.name, "run": end.run_id, "state": end.state, "status": "completed"})
            else:
                row["runs"].append({"seed": seed, "name": spec.name, "failed": end})
                ends.append({"name": spec.name, "run": None, "state": None, "status": f"failed: {end}"})
        rows.append(row)
    artifact = _write_comparison(place, rows, parents) if parents else None
    return {"artifact": artifact, "rows": rows, "runs": ends}


def _grouped(contenders: Sequence[Contender]) -> list[tuple[str, Contender]]:
    """Contenders with the title of their group; a group has one model and the same facts."""
    groups: list[tuple[Any, ...]] = []
    for one in contenders:
        if one.group not in groups:
            groups.append(one.group)
    titles: list[str] = []
    for group in groups:
        first = next(one for one in contenders if one.group == group)
        title = f"{first.model}, {PurePath(first.spec.requests.source).stem}"
        titles.append(title if title not in titles else f"{title} ({first.spec.name})")
    return [(title, one) for title, group in zip(titles, groups, strict=True) for one in contenders
            if one.group == group]  # fmt: skip


def _setting_pairs(one: Contender) -> list[list[str]]:
    """A variant's settings as pairs under the recipe's names; a list, since recipes keep only the order of lists."""
    return [[RECIPE_NAMES.get(key, key), str(value) if isinstance(value, str) else json.dumps(value, default=str)]
            for key, value in one.settings.items()]  # fmt: skip


def _run(spec: RunSpec, one: Contender, place: Lake) -> RunRecord | str:
    """The record of a completed run, or why it failed."""
    try:
        run: Any = edit_variant(spec.name, spec, str(one.path), place.uri)
        return Runs(place.files).get(run)
    except OSError:  # a full disk or a missing folder would stop all others as well
        raise
    except Exception as error:  # a failure of one method or model leaves the others useful
        with get_client(sync_client=True) as client:
            if client.api_healthcheck() is not None:  # Prefect's server has failed, so no other run would succeed
                raise
        print_line(f"  [bold red]failed[/] {quoted(error)}; the others continue")
        return first_line(error)


def _so_far(ends: Sequence[RunEnd]) -> str:
    failed = sum(end["status"] != "completed" for end in ends)
    return f" ({len(ends) - failed} done{f', {failed} failed' if failed else ''})" if ends else ""


def _report(use: Use, ref: ArtifactRef) -> None:
    """Report created artifacts only; runs of a comparison reuse many."""
    if use.how == "created":
        report_stage(use, ref)


def _write_comparison(place: Lake, rows: Sequence[RecordedRow], parents: Mapping[str, Sequence[str]]) -> str:
    """Write the comparison's artifact, its index entry and its tables on the flow's page in Prefect; return its id."""
    ref = compare(place, rows, parents)
    Catalog(place).record_many(artifacts=[place.manifest(ref.id)])
    _publish(place, ref.id, rows)
    return ref.id


def _publish(place: Lake, artifact: str, rows: Sequence[RecordedRow]) -> None:
    try:
        for n, table in enumerate(parse_tables(read_files(place, artifact)["table.csv"]), 1):
            key = f"{rows[0]['name']}-comparison-{n}"
            create_table_artifact(
                text_rows(table, {}), key=key, description=f"{table.title}: comparison {artifact[:12]}"
            )
    except Exception as error:  # noqa: BLE001 - the comparison is complete even if this fails
        print_line(f"[yellow]warning:[/] the page in Prefect has no table: {quoted(first_line(error))}")
