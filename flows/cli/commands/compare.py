"""editflow compare"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, OpenFlag, SetFlag
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import counted, lake_folder, print_json, print_line, print_table
from editflow.flows.console.output_files import check, folder, named, show_in_browser, write
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.spec.variants import Contender
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.comparison.comparison_rows import RecordedRow


def compare(
    spec: Path,
    /,
    *more: Path,
    seeds: Annotated[list[str] | None, Parameter(negative=())] = None,
    set_: Annotated[
        SetFlag,
        Parameter(help="Override a key of all specs and variants, such as --set requests.count=50; may be repeated."),
    ] = None,
    out: Annotated[Path | None, Parameter(help="The folder to write (default: ./NAME-comparison).")] = None,
    open_: OpenFlag = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Run all variants of one or several specs with the same seeds, and compare them in a table and on a page.

    What several runs share is computed once. After an interruption, the same command continues where it stopped. A
    run that fails is listed with its reason and the others continue; the exit code is then 1.

    Parameters
    ----------
    spec
        A TOML file with [[variants]], such as specs/compare/methods.toml, or any other spec.
    more
        More specs.
    seeds
        Run everything once per seed: --seeds 0,1,2. Seeds determine the order of the facts and the contexts.
    """
    check_working_folder()
    from editflow.flows.spec.spec_file import SpecFile
    from editflow.flows.spec.variants import read_contenders, read_seeds

    files, numbers = [spec, *more], read_seeds(seeds)
    contenders = read_contenders(files, set_ or (), numbers)
    target = folder(out or Path(named(contenders[0].origin, "-comparison")), "comparison")
    _check_files(target)
    store = _start(contenders, lake)
    from editflow.flows.compare import compare_specs

    loaded = [SpecFile(path, [each for each in contenders if each.path == path]) for path in files]
    found = compare_specs(loaded, list(set_ or ()), numbers, store.uri)
    artifact = found["artifact"]
    texts = _write_files(store, artifact, target) if artifact else {}
    if json:
        print_json({**found, "folder": str(target) if texts else None, "tables": _cells(texts)})
    else:
        _print_tables(found["rows"], texts)
        if artifact:
            completed = next(run["name"] for run in found["runs"] if run["status"] == "completed")
            _print_page(target / "comparison.html", artifact[:12], completed, lake)
        else:
            print_next(
                f"{shell_command('runs', lake=lake)} for the runs; fix the causes and run the same command again"
            )
    if open_ and texts:
        show_in_browser(target / "comparison.html")
    if any(run["status"] != "completed" for run in found["runs"]):
        sys.exit(1)


def _start(contenders: Sequence[Contender], lake: str | None) -> Lake:
    """Check the models and sources, open the lake and start a Prefect server."""
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.compare import check_models, check_sources
    from editflow.flows.planning.plan import open_readonly
    from editflow.storage.artifacts.store import Lake

    check_sources(contenders)
    check_models(contenders, open_readonly(lake_folder(lake)))
    store = Lake.open(lake_folder(lake))
    runs = counted(sum(len(each.runs) for each in contenders), "run")
    print_line(f"[bold]{runs}[/] of {counted(len(contenders), 'method')} in {quoted(store.uri)}")
    temporary_server.reap()
    temporary_server.start()
    return store


def _check_files(target: Path) -> None:
    """Check that the files can be written before anything runs. Raises UsageError."""
    from editflow.tasks.comparison.comparison_page import FILE_NAMES

    for name in sorted(FILE_NAMES) if target.is_dir() else ():
        try:
            check(target / name, name, "comparison")
        except UsageError:
            raise UsageError(f"--out {target} has {name}, which is not a file: give another folder") from None


def _write_files(store: Lake, artifact: str, target: Path) -> Mapping[str, str]:
    """Write the files of a comparison and return {name: text}."""
    from editflow.tasks.comparison.comparison_stage import read_files

    texts = read_files(store, artifact)
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target} cannot be created ({error.strerror}): give another --out") from None
    for name, text in texts.items():
        write(target / name, text.encode(), "comparison")
    return texts


def _failures(methods: Sequence[RecordedRow]) -> dict[str, dict[str, str]]:
    """{group: {label: the reasons why runs of the method failed, and how many failed if not all}}."""
    found: dict[str, dict[str, str]] = {}
    for method in methods:
        reasons = [run["failed"] for run in method["runs"] if "failed" in run]
        if reasons:
            runs = len(method["runs"])
            part = "" if len(reasons) == runs else f"{len(reasons)} of {runs} seeds: "
            found.setdefault(method["group"], {})[method["label"]] = part + "; ".join(dict.fromkeys(reasons))
    return found


def _print_tables(methods: Sequence[RecordedRow], texts: Mapping[str, str]) -> None:
    from editflow.tasks.comparison.comparison_summary import parse_tables, text_rows

    failures = _failures(methods)
    for group in parse_tables(texts["table.csv"]) if texts else ():
        table = text_rows(group, failures.pop(group.title, {}))
        columns = list(dict.fromkeys(name for row in table for name in row))
        print_table(table, columns, title=f"{group.title}, after the last edit (± half of the 95 % interval)")
    failed = [{"method": label, "failed": why} for group in failures.values() for label, why in group.items()]
    if failed:  # in groups without a completed run
        print_table(failed, title="failed")


def _print_page(page: Path, artifact: str, run: str, lake: str | None) -> None:
    print_line(f"\npage in [bold]{quoted(page)}[/], tables beside it; comparison [bold]{artifact}[/]")
    print_next(
        f"open that page in a browser, or send it; {shell_command('report', run, lake=lake)} for the page of one run, "
        f"{shell_command('lineage', artifact, lake=lake)} for the artifacts it was made from"
    )


def _cells(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """The cells of the main tables as JSON."""
    if not texts:
        return []
    from editflow.tasks.comparison.comparison_summary import parse_tables

    return [
        {"group": group.title, "label": label, "figure": figure, "unit": cell.unit,
         "before": cell.before._asdict(), "after": cell.after._asdict()}
        for group in parse_tables(texts["table.csv"])
        for label, cells in group.cells.items() for figure, cell in cells.items()
    ]  # fmt: skip
