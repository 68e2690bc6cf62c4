"""Marks crashed flow runs: Prefect does not notice SIGKILL, so the next run does it."""

from __future__ import annotations

import os
import platform
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Crashed

from editflow.storage.records.runs import may_be_running, process_start_time

HOST, PID, STARTED = "editflow.host", "editflow.pid", "editflow.process-started"
"""Labels of a flow run: the process that runs it."""
_PAGE = 200


def label_process(flow: Any, flow_run: FlowRun, state: Any) -> None:
    """Hook of a starting flow: label its run with this process, and mark crashed runs."""
    del flow, state
    mine: dict[str, bool | int | float | str] = {
        HOST: platform.node(),
        PID: os.getpid(),
        STARTED: process_start_time(os.getpid()),
    }
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run.id, mine)
        mark_crashed(client)


def mark_crashed(client: SyncPrefectClient) -> list[str]:
    """Mark the flow runs of this host whose process is gone as Crashed; return their names.

    Only runs labelled by `label_process`, at most one page of the unfinished ones.
    """
    unfinished = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=unfinished)), limit=_PAGE)
    dead = [run for run in runs if PID in run.labels and not _may_exist(run)]
    for run in dead:
        gone: State[Any] = Crashed(message=f"its process {run.labels[PID]} on {run.labels[HOST]} is gone")
        client.set_flow_run_state(run.id, gone, force=True)
    return [run.name for run in dead]


def _may_exist(run: FlowRun) -> bool:
    labels = run.labels
    return may_be_running(str(labels[HOST]), int(labels[PID]), float(labels[STARTED]))
