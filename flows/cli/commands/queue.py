"""editflow submit, queue, releases, rollback: pending requests, their outcome, and the released state."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.completers import folders
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import counted, lake_folder, print_json, print_line, print_table
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.editing.requests.record import EditRequest
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.releases.queue import Queue, ReleaseEvent, ReleaseState

NAME = "current"
"""The default name of a queue and its release."""
Name = Annotated[str, Parameter(help='The queue and its release, as in `requests.source = "queue:NAME"`.')]
MAX_ROWS = 40
"""Rows of a table; --json prints all."""


def submit(
    source: Annotated[str | None, Parameter(completer=folders)] = None,
    /,
    *,
    to: Name = NAME,
    dataset: Annotated[str | None, Parameter(help="The format of the records, if it cannot be detected.")] = None,
    subject: Annotated[str | None, Parameter(help="The subject of a single request.")] = None,
    prompt: Annotated[str | None, Parameter(help="Its prompt, with {} for the subject or with its name.")] = None,
    target: Annotated[str | None, Parameter(help="Its new answer.")] = None,
    was: Annotated[str, Parameter(help="Its old answer, if known.")] = "",
    relation: Annotated[str, Parameter(help="Its relation: a later request with the same subject and relation "
                                       "replaces it.")] = "",
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Append edit requests to a queue: those of a file, or a single one. `editflow apply` edits them in.

    All requests are checked first; if one is invalid, none is appended. A request replaces a waiting one with the same
    subject and relation, and replaced requests are listed.

    Parameters
    ----------
    source
        A .jsonl, .json, .csv or .parquet file, a URL, or hub:NAME[:CONFIG[:SPLIT]][@REVISION]. docs/requests.md
        describes the formats.
    """
    from editflow.storage.artifacts.store import Lake

    single = [value is not None for value in (subject, prompt, target)]
    if any(single) == (source is not None) or (source is None and not all(single)):
        raise UsageError("give a file, or --subject, --prompt and --target of a single request")
    if source is None:
        requests = [_single_request(subject, prompt, target, was, relation)]
    else:
        from editflow.tasks.sources.edit_requests import load_requests

        requests = load_requests(source, dataset)
    store = Lake.open(lake_folder(lake))
    entries, replaced = _open_queue(store, to).submit(requests)
    if json:
        print_json({"queue": to, "entries": [e.id for e in entries], "superseded": [e.id for e in replaced]})
        return
    print_table([{"queue": to, "submitted": len(entries), "first": entries[0].id, "last": entries[-1].id}])
    if replaced:
        rows = [{"entry": e.id, "prompt": e.request.filled, "target": e.request.target_new} for e in replaced]
        print_table(rows[:MAX_ROWS], title=f"{counted(len(replaced), 'waiting request')} superseded")
    print_next(
        f"{shell_command('queue', to, lake=lake)} for all waiting requests, `editflow apply SPEC` to edit them in"
    )


def _single_request(
    subject: str | None, prompt: str | None, target: str | None, was: str, relation: str
) -> EditRequest:
    from editflow.editing.requests import flat
    from editflow.editing.requests.record import check

    record = {
        "target_new": target, "subject": subject, "prompt": prompt, "target_true": was, "relation": relation
    }  # fmt: skip
    request = flat.request("the request", record)
    check(request, "the request")
    return request


def queue(name: Name = NAME, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show all requests of a queue: pending, applied, rejected, superseded or withdrawn, and why."""
    from editflow.tasks.releases.queue import statuses

    found = _open_queue(open_lake(lake), name)
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
    if rows:
        summary = ", ".join(f"{number} {status}" for status, number in counts.items())
        latest = f", the last {MAX_ROWS} shown" if len(rows) > MAX_ROWS else ""
        print_table(rows[-MAX_ROWS:], title=f"queue {name}: {summary}{latest}")
    else:
        print_line(f"queue {quoted(name)}: nothing was submitted yet")
    if counts["pending"]:
        print_next("`editflow apply SPEC` to edit the waiting requests in")
    else:
        print_next(f"{shell_command('submit', '--help')} for how to add requests")


def releases(name: Name = NAME, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """List the releases of a name and the measurements of each. The last one that is not rolled back is served."""
    found = _open_queue(open_lake(lake), name)
    steps = list(found.replay())
    now = steps[-1][1]
    rows = [_release_row(event, state, now) for event, state in steps if event is not None and event.move != "begin"]
    if json:
        print_json(rows)
        return
    if not rows:
        print_line(f"no release {quoted(name)} yet")
        print_next("`editflow apply SPEC` to edit the waiting requests in")
        return
    print_table(rows[-MAX_ROWS:], title=f"release {name}")
    if now.state is None:
        print_next(f"{shell_command('queue', name, lake=lake)} for the outcome of each request")
    else:
        print_next(f"{shell_command('lineage', now.state[:12], lake=lake)} for the artifacts the release was made from")


def _release_row(event: ReleaseEvent, after: ReleaseState, now: ReleaseState) -> dict[str, str | int]:
    """An event of a release; `after` is the release after the event, `now` the current one."""
    what = f"back to {event.to}" if event.move == "rollback" else f"{len(event.entries)} {event.status}"
    served = after.version == now.release or (event.move == "rollback" and after.version == now.version)
    return {
        "release": after.version,
        "at": event.at[:19].replace("T", " "),
        "what": what,
        "state": (after.state or "the base model")[:12] if event.status == "applied" else "",
        "served": "yes" if served else "",
        "measured": ", ".join(f"{gate} {value:.4g}" for gate, value in event.measures.items()),
        "reason": "; ".join(event.reasons),
    }


def rollback(
    name: Name,
    /,
    *,
    to: Annotated[str | None, Parameter(help="A release's number, 0 for the base model, or a unique prefix of a "
                                        "state's id.")] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Serve an earlier release of a name again (default: the previous one).

    Requests that were applied since are withdrawn: submit them again to apply them.
    """
    from editflow.tasks.releases.release import rollback as roll_back

    found = _open_queue(open_lake(lake), name)
    before = found.state()
    after = roll_back(found, None if to is None else _release_number(found, to))
    changed = [id_ for id_, outcome in after.outcomes.items() if before.outcomes[id_].status != outcome.status]
    if json:
        by_status = {
            status: [i for i in changed if after.outcomes[i].status == status] for status in ("withdrawn", "applied")
        }
        print_json({"release": after.release, "state": after.state, **by_status})
        return
    state = after.state[:12] if after.state else "the base model"
    print_table([{"release": name, "served": after.release, "state": state, "requests changed": len(changed)}])
    print_next(f"{shell_command('queue', name, lake=lake)} for the outcome of each request")


def _release_number(found: Queue, to: str) -> int:
    """The number of the release that `to` names by its number or by a prefix of its state."""
    if to.isdecimal() and len(to) < 10:
        return int(to)
    matching = {s.state: s.release for _, s in found.replay() if s.state is not None and s.state.startswith(to)}
    if len(matching) != 1:
        raise UsageError(
            f"{len(matching)} released states begin with {to!r}: `editflow releases {found.name}` lists them"
        )
    return next(iter(matching.values()))


def _open_queue(store: Lake, name: str) -> Queue:
    """The queue of a name. Raises UsageError for an invalid name or log."""
    from editflow.tasks.releases.queue import Queue

    try:
        found = Queue(store.files, name)
        found.events()
    except ValueError as error:
        raise UsageError(str(error)) from None
    return found
