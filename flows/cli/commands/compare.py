"""editflow compare"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.flows.console.output_files import check, folder, named, show_in_browser, write
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.tasks.console.terminal import quoted


def compare(
    spec: Path,
    /,
    *more: Path,
    seeds: Annotated[list[str] | None, Parameter(negative=())] = None,
    set_: SetFlag = None,
    out: Annotated[Path | None, Parameter(help="The folder to write (default: NAME-comparison in this one).")] = None,
    open_: Annotated[bool, Parameter(name="--open", negative=(), help="Open the page in the browser.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Run all variants of one spec or several under the same seeds, and set them side by side in a table and a page.

    What runs have in common is computed once. Run again after an interruption, it continues where it stopped. A run
    that fails is listed with its reason and the others continue; the exit code is then 1.

    Parameters
    ----------
    spec
        A TOML file with [[variants]], such as specs/compare/methods.toml, or any other spec.
    more
        More of them.
    seeds
        Runs everything once for each: --seeds 0,1,2. Of the order of the facts and of the contexts.
    set_
        Override a key of all specs and variants, such as --set requests.count=50; may be repeated.
    """
    check_working_folder()
    from editflow.flows.spec.spec_file import SpecFile
    from editflow.flows.spec.variants import read_contenders, read_seeds

    files, numbers = [spec, *more], read_seeds(seeds)
    contenders = read_contenders(files, set_ or (), numbers)
    target = folder(out or Path(named(contenders[0].origin, "-comparison")), "comparison")
    _check_files(target)
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.compare import check_models, check_sources, compare_specs
    from editflow.flows.planning.plan import open_readonly
    from editflow.storage.artifacts.store import Lake

    check_sources(contenders)
    check_models(contenders, open_readonly(lake_folder(lake)))
    store = Lake.open(lake_folder(lake))
    runs = sum(len(one.runs) for one in contenders)
    print_line(f"[bold]{runs} run{'s' * (runs != 1)}[/] of {len(contenders)} ways to edit in {quoted(store.uri)}")
    temporary_server.reap()
    temporary_server.start()
    loaded = [SpecFile(path, [one for one in contenders if one.path == path]) for path in files]
    found = compare_specs(loaded, list(set_ or ()), numbers, store.uri)
    written = _written(store, found["artifact"], target) if found["artifact"] else {}
    if json:
        print_json({**found, "folder": str(target) if written else None, "tables": _plain(written)})
    else:
        _print(found, written, target, lake)
    if open_ and written:
        show_in_browser(target / "comparison.html")
    if any(run["status"] != "completed" for run in found["runs"]):
        sys.exit(1)


def _check_files(target: Path) -> None:
    """Look at what the files would replace before anything is run."""
    from editflow.tasks.comparison.page import NAMES

    for name in sorted(NAMES) if target.is_dir() else ():
        try:
            check(target / name, name, "comparison")
        except UsageError:
            raise UsageError(f"--out {target} holds {name}, which is no file: give another folder") from None


def _written(store: Any, artifact: str, target: Path) -> Mapping[str, str]:
    from editflow.tasks.comparison.stages import read_files

    found = read_files(store, artifact)
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target} cannot be made ({error.strerror}): give another --out") from None
    for name, text in found.items():
        write(target / name, text.encode(), "comparison")
    return found


def _failures(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> dict[str, str]:
    """{label: why its runs failed}, with how many did where not all."""
    found = {}
    for row in rows:
        reasons = [run["failed"] for run in row["runs"] if "failed" in run]
        if reasons and title in {None, row["group"]}:
            part = "" if len(reasons) == len(row["runs"]) else f"{len(reasons)} of {len(row['runs'])} seeds: "
            found[row["label"]] = part + "; ".join(dict.fromkeys(reasons))
    return found


def _print(found: Mapping[str, Any], written: Mapping[str, str], target: Path, lake: str | None) -> None:
    from editflow.tasks.comparison.comparison_summary import rows, tables

    groups = tables(written["table.csv"]) if written else []
    for group in groups:
        shown = rows(group, _failures(found["rows"], group.title))
        columns = list(dict.fromkeys(name for row in shown for name in row))
        print_table(shown, columns, title=f"{group.title}, after the last edit (± half of the 95 % interval)")
    titles = {group.title for group in groups}
    lost = [(label, why) for row in found["rows"] if row["group"] not in titles
            for label, why in _failures([row]).items()]  # fmt: skip
    if lost:
        print_table([{"method": label, "failed": why} for label, why in lost], title="failed")
    if not written:
        print_next(f"{typed('runs', lake=lake)} for the runs; fix the causes and run the same command again")
        return
    page = target / "comparison.html"
    print_line(f"\npage in [bold]{quoted(page)}[/], tables beside it; comparison [bold]{found['artifact'][:12]}[/]")
    done = next(run for run in found["runs"] if run["status"] == "completed")
    one = typed("report", done["name"], lake=lake)
    made = typed("lineage", found["artifact"][:12], lake=lake)
    print_next(
        f"open that page in a browser, or send it; {one} for one run's own page, {made} for what all was made from"
    )


def _plain(written: Mapping[str, str]) -> list[dict[str, Any]]:
    """The table's cells for programs."""
    if not written:
        return []
    from editflow.tasks.comparison.comparison_summary import tables

    return [
        {"group": group.title, "label": label, "figure": figure, "unit": cell.unit,
         "before": cell.before._asdict(), "after": cell.after._asdict()}
        for group in tables(written["table.csv"])
        for label, cells in group.cells.items() for figure, cell in cells.items()
    ]  # fmt: skip
