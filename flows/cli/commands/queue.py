"""editflow submit, queue, releases, rollback: pending requests, their outcome, and the released state."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from cyclopts import Parameter

from editflow.flows.cli.common.completers import folders
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.editing.requests.record import EditRequest
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.releases.queue import Queue, ReleaseEvent, ReleaseState

NAME = "current"
"""The default name of a queue and its release."""
Name = Annotated[str, Parameter(help='Which queue and release, as in `requests.source = "queue:NAME"`.')]
MOST = 40
"""Rows that are shown; --json has all of them."""


def submit(
    source: Annotated[str | None, Parameter(completer=folders)] = None,
    /,
    *,
    to: Name = NAME,
    dataset: Annotated[str | None, Parameter(help="The shape of the records, where they do not tell it.")] = None,
    subject: Annotated[str | None, Parameter(help="Of a single request: what the fact is about.")] = None,
    prompt: Annotated[str | None, Parameter(help="Its prompt, with {} for the subject or naming it.")] = None,
    target: Annotated[str | None, Parameter(help="The answer to write.")] = None,
    was: Annotated[str, Parameter(help="The answer so far, where it is known.")] = "",
    relation: Annotated[str, Parameter(help="Its relation: a later one of this subject takes its place.")] = "",
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Append edit requests to a queue: all of a file, or one of its own. `editflow apply` edits them in.

    All are checked first, and none is taken if one is wrong. A request about the same subject and relation as one that
    waits replaces it, and is listed.

    Parameters
    ----------
    source
        A .jsonl, .json, .csv or .parquet file, a URL, or hub:NAME[:CONFIG[:SPLIT]][@REVISION]; docs/requests.md has
        the shapes.
    """
    from editflow.storage.artifacts.store import Lake

    single = {"subject": subject, "prompt": prompt, "target": target}
    given = {f"--{name}" for name, value in single.items() if value is not None}
    if (source is None) == (not given) or (given and len(given) < len(single)):
        raise UsageError("give a file, or --subject, --prompt and --target of a single request")
    if source is None:
        requests = [_single({**single, "target_true": was, "relation": relation})]
    else:
        from editflow.tasks.sources.edit_requests import load_requests

        requests = load_requests(source, dataset)
    store = Lake.open(lake_folder(lake))
    mine, replaced = _queue(store, to).submit(requests)
    if json:
        print_json({"queue": to, "entries": [e.id for e in mine], "superseded": [e.id for e in replaced]})
        return
    print_table([{"queue": to, "submitted": len(mine), "first": mine[0].id, "last": mine[-1].id}])
    if replaced:
        rows = [{"entry": e.id, "prompt": e.request.filled, "target": e.request.target_new} for e in replaced]
        print_table(rows[:MOST], title=f"{len(replaced)} that waited are superseded")
    print_next(f"{typed('queue', to, lake=lake)} for all that waits, `editflow apply SPEC` to edit it in")


def _single(record: dict[str, Any]) -> EditRequest:
    from editflow.editing.requests import flat
    from editflow.editing.requests.record import check

    request = flat.request("the request", {"target_new": record.pop("target"), **record})
    check(request, "the request")
    return request


def queue(name: Name = NAME, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show what waits in a queue and what became of the rest: applied, rejected, superseded or withdrawn, and why."""
    from editflow.tasks.releases.queue import statuses

    found = _queue(open_lake(lake), name)
    entries = found.entries()
    outcomes = statuses(entries, found.state())
    rows = [
        {
            "entry": entry.id,
            "status": outcomes[entry.id].status,
            "release": outcomes[entry.id].release or None,
            "prompt": entry.request.filled,
            "target": entry.request.target_new,
            "reason": "; ".join(outcomes[entry.id].reasons),
        }
        for entry in entries
    ]
    if json:
        print_json(rows)
        return
    counts = Counter(row["status"] for row in rows)
    told = ", ".join(f"{number} {status}" for status, number in counts.items()) or "nothing was submitted yet"
    latest = f", the last {MOST} shown" if len(rows) > MOST else ""
    if rows:
        print_table(rows[-MOST:], title=f"queue {name}: {told}{latest}")
    else:
        print_line(f"queue {quoted(name)}: {told}")
    if counts["pending"]:
        print_next("`editflow apply SPEC` to edit in what waits")
    else:
        print_next(f"{typed('submit', '--help')} for how to add requests")


def releases(name: Name = NAME, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """List the releases of a name and the measurements of each; the last one that is not rolled back is served."""
    found = _queue(open_lake(lake), name)
    steps = list(found.replay())
    rows = [_row(move, current, steps[-1][1]) for move, current in steps if move is not None and move.move != "begin"]
    if json:
        print_json(rows)
        return
    if not rows:
        print_line(f"no release {quoted(name)} yet")
        print_next("`editflow apply SPEC` to edit in what waits")
        return
    print_table(rows[-MOST:], title=f"release {name}")
    state = steps[-1][1].state
    if state is None:
        print_next(f"{typed('queue', name, lake=lake)} for what became of the requests")
    else:
        print_next(f"{typed('lineage', state[:12], lake=lake)} for what the release was made from")


class ReleaseRow(TypedDict):
    """A change of a release, in words."""

    release: int
    at: str
    what: str
    state: str
    served: str
    measured: str
    reason: str


def _row(move: ReleaseEvent, current: ReleaseState, present: ReleaseState) -> ReleaseRow:
    what = {"rollback": f"back to {move.to}"}.get(move.move, f"{len(move.entries)} {move.status}")
    served = current.version == present.release or (move.move == "rollback" and current.version == present.version)
    measures = ", ".join(f"{gate} {value:.4g}" for gate, value in move.measures.items())
    return {
        "release": current.version,
        "at": move.at[:19].replace("T", " "),
        "what": what,
        "state": (current.state or "the base model")[:12] if move.status == "applied" else "",
        "served": "yes" if served else "",
        "measured": measures,
        "reason": "; ".join(move.reasons),
    }


def rollback(
    name: Name,
    /,
    *,
    to: Annotated[str | None, Parameter(help="A release's number, 0 for the base model, or its state.")] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Let an earlier release of a name stand again, the one before the present one unless given.

    Requests applied since are withdrawn: submit them again to have them applied.
    """
    from editflow.tasks.releases.release import rollback as go_back

    found = _queue(open_lake(lake), name)
    before = found.state()
    after = go_back(found, None if to is None else _release(found, to))
    changed = [id_ for id_, outcome in after.outcomes.items() if before.outcomes[id_].status != outcome.status]
    if json:
        now = {
            status: [i for i in changed if after.outcomes[i].status == status] for status in ("withdrawn", "applied")
        }
        print_json({"release": after.release, "state": after.state, **now})
        return
    state = after.state[:12] if after.state else "the base model"
    print_table([{"release": name, "served": after.release, "state": state, "requests changed": len(changed)}])
    print_next(f"{typed('queue', name, lake=lake)} for what became of the requests")


def _release(found: Queue, to: str) -> int:
    """The number of a release, or the latest one with a state that begins so."""
    if to.isdecimal() and len(to) < 10:
        return int(to)
    matching = {s.state: s.release for _, s in found.replay() if s.state is not None and s.state.startswith(to)}
    if len(matching) != 1:
        raise UsageError(
            f"{len(matching)} released states begin with {to!r}: `editflow releases {found.name}` lists them"
        )
    return next(iter(matching.values()))


def _queue(store: Lake, name: str) -> Queue:
    from editflow.tasks.releases.queue import Queue

    try:
        found = Queue(store.files, name)
        found.events()
    except ValueError as error:
        raise UsageError(str(error)) from None
    return found
