"""editflow impact"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_line, print_table
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.storage.records.runs import RunRecord
    from editflow.tasks.lineage.impact import Dependants


def impact(
    *,
    withdraw: Annotated[str, Parameter(help="The id or name of what to withdraw, or a unique prefix.")],
    redo: Annotated[bool, Parameter(negative=(), help="Repeat the dependent runs without it.")] = False,
    download: Annotated[bool, Parameter(negative=(), help="With --redo, download files that records name on the hub "
                                        "or other hosts.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Print what depends on a fact, a document or an artifact. --redo repeats these runs without it.

    The cost of withdrawing it is the recorded computing time of the dependent artifacts. --redo repeats the latest run
    of each name that depends on it, without it, and reuses everything else. Releases do not change. Files on the hub or
    other hosts are downloaded only with --download, or if you agree to a question on the terminal.

    Write request:ID, document:NAME or artifact:ID if a name is ambiguous.
    """
    from editflow.tasks.lineage.impact import dependants, source_of

    store = open_lake(lake)
    found = dependants(store, source_of(store, withdraw))
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.withdraw import affected

    runs = affected(found)
    if not redo:
        _print_dependants(found, runs, lake=lake, json=json)
        return
    if not runs:
        raise UsageError(f"no completed run of `editflow run` depends on {found.source.what} {found.source.name}")
    from editflow.flows.spec.consent import ask_agreement, require_agreement
    from editflow.flows.withdraw import to_fetch, without

    # Errors and refused downloads are reported before a server starts.
    wanted = to_fetch([without(record, found.source) for record in runs])
    download = download or ask_agreement(wanted)
    require_agreement(wanted, download, packed=False)
    temporary_server.reap()
    temporary_server.start()
    from editflow.flows.withdraw import withdraw as repeat_without

    records = repeat_without(f"{found.source.what}:{found.source.name}", store.uri, download)
    rows = [_cost(record) for record in records]
    if json:
        print_json(rows)
        return
    print_table(rows, title=f"without {found.source.what} {found.source.name}")
    print_next(f"{shell_command('diff', runs[0].run_id, records[0].run_id, lake=lake)} for the difference")


def _print_dependants(found: Dependants, runs: list[RunRecord], *, lake: str | None, json: bool) -> None:
    source, times = found.source, dict[str, list[float]]()
    for _, kind, seconds in found.impact.artifacts:
        times.setdefault(kind, []).append(seconds)
    kinds = [{"kind": kind, "artifacts": len(each), "seconds": round(sum(each), 1)} for kind, each in times.items()]
    run_rows = [
        {"run": r.run_id, "name": r.name, "status": r.status, "redone": "yes" if r in runs else "no"}
        for r in found.runs
    ]
    if json:
        ids = [id_ for id_, _, _ in found.impact.artifacts]
        print_json(
            {"what": source.what, "name": source.name, "seconds": found.seconds, "kinds": kinds, "artifacts": ids,
             "runs": run_rows, "names": list(found.names), "releases": list(found.releases)}
        )  # fmt: skip
        return
    if not kinds:
        print_line(f"nothing was made from {source.what} {quoted(source.name)}")
        return
    print_table(kinds, title=f"what depends on {source.what} {source.name}: {found.seconds:.1f} s to recompute")
    print_table(run_rows, title="runs; --redo repeats the latest of each name that can be repeated by itself")
    for what, names in (("edited model", found.names), ("release", found.releases)):
        if names:
            print_line(f"{what}: {quoted(', '.join(names))}")
    if runs:
        command = shell_command("impact", "--withdraw", f"{source.what}:{source.name}", "--redo", lake=lake)
        print_next(f"{command} to repeat {len(runs)} of these runs without it")
    else:
        print_next(f"{shell_command('runs', lake=lake)} for the runs: none of these can be repeated by itself")


def _cost(record: RunRecord) -> dict[str, str | float]:
    """How many artifacts a run computed and reused, and the seconds of the computed ones."""
    computed = [use for use in record.uses if use.how == "created"]
    return {
        "run": record.run_id,
        "name": record.name,
        "computed": len(computed),
        "reused": len(record.uses) - len(computed),
        "seconds": round(sum(use.seconds for use in computed), 1),
        "state": (record.state or "")[:12],
    }
