"""Find the lake, run or state that a user names."""

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
    """Open the lake of --lake, of EDITFLOW_LAKE, or ./lake. Raises UsageError if it does not exist."""
    from editflow.storage.artifacts.store import Lake

    place = lake_folder(lake)
    if not (Path(place) / "artifacts").is_dir():
        raise UsageError(f"no lake at {place}: run `editflow run specs/demo.toml` first, or give --lake")
    return Lake.open(place, create=False)


def find_release(lake: Lake, name: str) -> ReleaseState | None:
    """The current release of a name; None if the name has no releases."""
    from editflow.storage.records.refs import Refs
    from editflow.tasks.releases.queue import Queue

    with contextlib.suppress(ValueError):
        return Queue(lake.files, name).state() if Refs(lake.files, "releases").version(name) else None
    return None


def find_state(lake: Lake, name: str) -> str | None:
    """The id of the state that is released under a name, or of the latest state of a spec; None if there is neither."""
    from editflow.storage.records.refs import Refs

    release = find_release(lake, name)
    if release is not None and release.state is not None:
        return release.state
    with contextlib.suppress(ValueError):
        return Refs(lake.files).artifact(name)
    return None


def find_run(lake: Lake, name: str, *, edited: bool = False) -> RunRecord:
    """The run with an id, a unique prefix of an id or a spec's name (its latest run), or the latest run for `last`.

    With `edited`, prefer the latest run that has an edited model. Raises UsageError if no run matches or several do,
    and DamagedRecord for a damaged record.
    """
    from editflow.storage.records.runs import Runs

    if not name.strip():
        raise UsageError("the run's name is empty: give an id, a prefix of one, a spec's name or `last`")
    runs = Runs(lake.files)
    ids = [run for run in lake.files.list("runs") if run.startswith(name)]
    if name in ids:
        return runs.get(name)
    # A record without a start time is never the latest.
    latest = (r for r in runs.newest() if r.started_at and name in {"last", r.name})
    matching = map(runs.get, ids) if ids else latest
    found = _first(matching, edited=edited) if len(ids) < 2 else None
    if found is None:
        raise UsageError(
            f"{len(ids)} runs match {name!r} in {lake.uri}: `editflow runs` lists them{_suggestion(name, runs)}"
        )
    return runs.get(found.run_id)  # raises for a damaged record, which a listing only marks


def _first(records: Iterable[RunRecord], *, edited: bool) -> RunRecord | None:
    """The first record; with `edited`, the first that has a state, or else the first."""
    first = None
    for record in records:
        if record.state is not None or not edited:
            return record
        first = first or record
    return first


def _suggestion(name: str, runs: Runs) -> str:
    """The most similar name of a run, as the end of an error message."""
    import difflib

    names = [n for r in islice(runs.newest(), 200) for n in (r.run_id, r.name)]
    similar = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else ""
