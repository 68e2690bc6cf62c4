"""editflow impact"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_line, print_table
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.storage.records.runs import RunRecord
    from editflow.tasks.lineage.impact import Dependants


def impact(
    *,
    withdraw: Annotated[str, Parameter(help="Its id or name, or the only beginning of one.")],
    redo: Annotated[bool, Parameter(negative=(), help="Repeat the runs without it.")] = False,
    download: Annotated[bool, Parameter(negative=(), help="With --redo, fetch what records name elsewhere.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Print what depends on a fact, a document or an artifact, and the cost of removing it. --redo removes it.

    Costs are the seconds that making each of the artifacts took. With --redo the latest run of each name that depends
    on it is repeated without it; the rest is reused. Releases stay where they are. What a record names on the hub or at
    other hosts is fetched only with --download, or after a question on a terminal.
    Write request:ID, document:NAME or artifact:ID where a name could be several things.
    """
    from editflow.tasks.lineage.impact import dependants, source_of

    store = open_lake(lake)
    found = dependants(store, source_of(store, withdraw))
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.withdraw import affected

    runs = affected(found)
    if not redo:
        _say(found, runs, lake=lake, json=json)
        return
    if not runs:
        raise UsageError(f"no completed run of `editflow run` depends on {found.source.what} {found.source.name}")
    from editflow.flows.spec.consent import ask_agreement, require_agreement
    from editflow.flows.withdraw import to_fetch, without

    # What cannot be done, or is not agreed to, is reported before a server starts.
    wanted = to_fetch([without(record, found.source) for record in runs])
    download = download or ask_agreement(wanted)
    require_agreement(wanted, download, packed=False)
    temporary_server.reap()
    temporary_server.start()
    from editflow.flows.withdraw import withdraw as do

    records = do(f"{found.source.what}:{found.source.name}", store.uri, download)
    rows = [_cost(record) for record in records]
    if json:
        print_json(rows)
        return
    print_table(rows, title=f"without {found.source.what} {found.source.name}")
    print_next(f"{typed('diff', runs[0].run_id, records[0].run_id, lake=lake)} for what it changed")


def _say(found: Dependants, runs: list[RunRecord], *, lake: str | None, json: bool) -> None:
    source, kinds = found.source, dict[str, list[float]]()
    for _, kind, seconds in found.impact.artifacts:
        kinds.setdefault(kind, []).append(seconds)
    table = [{"kind": kind, "artifacts": len(took), "seconds": round(sum(took), 1)} for kind, took in kinds.items()]
    stand: list[dict[str, Any]] = [
        {"run": r.run_id, "name": r.name, "status": r.status, "redone": "yes" if r in runs else "no"}
        for r in found.runs
    ]
    if json:
        ids = [id_ for id_, _, _ in found.impact.artifacts]
        print_json(
            {"what": source.what, "name": source.name, "seconds": found.seconds, "kinds": table, "artifacts": ids,
             "runs": stand, "names": list(found.names), "releases": list(found.releases)}
        )  # fmt: skip
        return
    if not table:
        print_line(f"nothing was made from {source.what} {quoted(source.name)}")
        return
    print_table(table, title=f"what depends on {source.what} {source.name}: {found.seconds:.1f} s to make again")
    print_table(stand, title="runs; --redo repeats the latest of each name that can be repeated by itself")
    for what, names in (("edited model", found.names), ("release", found.releases)):
        if names:
            print_line(f"{what}: {quoted(', '.join(names))}")
    if runs:
        again = typed("impact", "--withdraw", f"{source.what}:{source.name}", "--redo", lake=lake)
        print_next(f"{again} to repeat {len(runs)} of these runs without it")
    else:
        print_next(f"{typed('runs', lake=lake)} for the runs: none of these can be repeated by itself")


def _cost(record: RunRecord) -> dict[str, Any]:
    made = [use for use in record.uses if use.how == "created"]
    return {
        "run": record.run_id,
        "name": record.name,
        "computed": len(made),
        "reused": len(record.uses) - len(made),
        "seconds": round(sum(use.seconds for use in made), 1),
        "state": (record.state or "")[:12],
    }
