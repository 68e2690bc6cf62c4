"""Finds the lake, run or state that a user names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.records.runs import RunRecord, Runs
    from editflow.tasks.releases.queue import ReleaseState


def open_lake(lake: str | None) -> Lake:
    """The lake of a flag, of EDITFLOW_LAKE, or ./lake; it must exist."""
    from editflow.storage.artifacts.store import Lake

    place = lake_folder(lake)
    if not (Path(place) / "artifacts").is_dir():
        raise UsageError(f"no lake at {place}: run `editflow run specs/demo.toml` first, or give --lake")
    return Lake.open(place, create=False)


def released(lake: Lake, name: str) -> ReleaseState | None:
    """Where the releases of a name stand; None for a name that has none."""
    from editflow.storage.records.refs import Refs
    from editflow.tasks.releases.queue import Queue

    with contextlib.suppress(ValueError):
        return Queue(lake.files, name).state() if Refs(lake.files, "releases").version(name) else None
    return None


def named_state(lake: Lake, name: str) -> str | None:
    """The state that is released under a name, or the latest state of a spec."""
    from editflow.storage.records.refs import Refs

    release = released(lake, name)
    if release is not None and release.state is not None:
        return release.state
    with contextlib.suppress(ValueError):
        return Refs(lake.files).artifact(name)
    return None


def find_run(lake: Lake, name: str, *, edited: bool = False) -> RunRecord:
    """The run of an id, the start of an id, a spec's name (its latest run) or `last`.

    With `edited`, of several runs the latest with an edited model.
    """
    from editflow.storage.records.runs import Runs

    if not name.strip():
        raise UsageError("the run's name is empty: give an id, the start of one, a spec's name or `last`")
    known = Runs(lake.files)
    begun = [run for run in lake.files.list("runs") if run.startswith(name)]
    if name in begun:
        return known.get(name)
    # A record without a start time is never the latest.
    latest = (r for r in known.newest() if r.started_at and name in {"last", r.name})
    matching = map(known.get, begun) if begun else latest
    found = _preferred(matching, edited=edited) if len(begun) < 2 else None
    if found is None:
        raise UsageError(
            f"{len(begun)} runs match {name!r} in {lake.uri}: `editflow runs` lists them{_near(name, known)}"
        )
    return known.get(found.run_id)  # which refuses a damaged record


def _preferred(records: Iterable[RunRecord], *, edited: bool) -> RunRecord | None:
    """The first, or with `edited` the first that has a state, if there is one."""
    first = None
    for record in records:
        if record.state is not None or not edited:
            return record
        first = first or record
    return first


def _near(name: str, known: Runs) -> str:
    import difflib

    names = [n for r in islice(known.newest(), 200) for n in (r.run_id, r.name)]
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
