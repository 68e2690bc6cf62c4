"""editflow lineage"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from editflow.flows.cli.common.completers import state_names
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, OpenFlag
from editflow.flows.cli.common.lookup import find_state, open_lake
from editflow.flows.console import output
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import console, print_json, print_line, print_table, print_text
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from rich.tree import Tree

    from editflow.storage.artifacts.store import Lake
    from editflow.storage.queries.query import Step

MAX_ROWS = 20
"""Rows of a table of facts, documents or evaluations; --json prints all."""


def lineage(
    artifact: Annotated[str, Parameter(completer=state_names)],
    /,
    *,
    up: Annotated[bool, Parameter(negative=(), help="Artifacts it was made from (the default).")] = False,
    down: Annotated[bool, Parameter(negative=(), help="Artifacts that were made from it.")] = False,
    to: Annotated[str | None, Parameter(help="Only the paths between it and this artifact.",
                                        completer=state_names)] = None,
    sources: Annotated[bool, Parameter(negative=(), help="The model, facts and documents it was made from.")] = False,
    results: Annotated[bool, Parameter(negative=(), help="The evaluations and releases that depend on it, or "
                                              "ask about it.")] = False,
    html: Annotated[Path | None, Parameter(help="Write a page with the graph to this file.")] = None,
    open_: OpenFlag = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Show what an artifact was made from, what was made from it, or the paths between two, as a tree or a graph.

    --results also accepts a fact or a document: request:ID or document:NAME.

    Parameters
    ----------
    artifact
        An artifact's id or a prefix of at least six digits; or a spec's name, for the state of its latest run.
    """
    chosen = [name for name, given in {"--up": up, "--down": down, "--to": to is not None, "--sources": sources,
                                       "--results": results}.items() if given]  # fmt: skip
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} exclude each other: choose one")
    if (sources or results) and (html is not None or open_):
        flag = "--open" if html is None else "--html"
        raise UsageError(f"{chosen[0]} prints a table, not a graph: leave out {flag}")
    store = open_lake(lake)
    if results:
        _print_results(store, artifact, lake, json=json)
        return
    if ":" in artifact:
        raise UsageError(f"{artifact} names no artifact: add --results, or give an artifact's id")
    id_ = find_state(store, artifact) or artifact
    if sources:
        _print_sources(store, id_, lake, json=json)
        return
    walk = _walk(store, id_, to, down=down)
    if html is not None or open_:
        _write_page(store, walk, html, lake, open_=open_, json=json)
    elif json:
        print_json([asdict(step) for step in walk.steps])
    else:
        _print_tree(walk, lake)


@dataclass(frozen=True)
class LineageWalk:
    """The steps of a lineage walk, its start (and its end, if it is between two), and the arguments that repeat it."""

    steps: Sequence[Step]
    ends: Sequence[str]
    words: Sequence[str]
    way: str
    down: bool = False

    def no_path(self) -> str:
        """The message if nothing connects the two ends."""
        one, other = (id_[:12] for id_ in self.ends)
        return f"nothing leads from {one} to {other}: neither was made from the other"


def _walk(store: Lake, artifact: str, to: str | None, *, down: bool) -> LineageWalk:
    from editflow.storage.queries.lineage_paths import paths_between
    from editflow.storage.queries.query import lineage as steps_of

    if to is None:
        steps = steps_of(store, artifact, "down" if down else "up")
        words = [steps[0].id[:12], *(["--down"] if down else [])]
        return LineageWalk(steps, [steps[0].id], words, "downstream" if down else "upstream", down)
    ends = [store.manifest(name).id for name in (artifact, find_state(store, to) or to)]
    words = [ends[0][:12], "--to", ends[1][:12]]
    return LineageWalk(paths_between(store, *ends), list(dict.fromkeys(ends)), words, "between")


def _print_tree(walk: LineageWalk, lake: str | None) -> None:
    if not walk.steps:
        print_line(walk.no_path())
        print_next(f"{shell_command('lineage', walk.ends[0][:12], lake=lake)} for what the first was made from")
        return
    console().print(tree(walk.steps))
    root = walk.steps[0].id[:12]
    if walk.down:
        print_next(f"{shell_command('lineage', root, lake=lake)} for what it was made from")
    elif len(walk.ends) > 1:
        print_next(f"{shell_command('lineage', *walk.words, '--open', lake=lake)} for the same as a graph")
    else:
        print_next(f"{shell_command('lineage', root, '--down', lake=lake)} for what was made from it")


def tree(steps: Sequence[Step]) -> Tree:
    """The steps of a walk as a tree. An artifact that is already in the tree is repeated without its branches."""
    from rich.tree import Tree

    children: dict[str | None, list[Step]] = {}
    for step in steps:
        children.setdefault(step.via, []).append(step)
    root = steps[0]
    drawn = {root.id}
    found = Tree(Text(output.show(f"{root.kind} {root.id[:12]}")))
    # A stack instead of recursion: a chain of states is as deep as a run has batches.
    stack = [(found, step) for step in reversed(children.get(root.id, []))]
    while stack:
        node, step = stack.pop()
        repeated = step.id in drawn
        note = " (above)" if repeated and children.get(step.id) else ""
        label = output.show(f"{step.role}: {step.kind} {step.id[:12]}")
        branch = node.add(Text.assemble(label, (note, "dim")))
        if not repeated:
            drawn.add(step.id)
            stack += [(branch, child) for child in reversed(children.get(step.id, []))]
    return found


def _write_page(
    store: Lake, walk: LineageWalk, html: Path | None, lake: str | None, *, open_: bool, json: bool
) -> None:
    from editflow.flows.console.output_files import named, show_in_browser, target

    if not walk.steps:
        raise UsageError(f"there is no graph: {walk.no_path()}")
    name = named("-".join(walk.words).replace("---", "-"), "-lineage.html")
    with target(html, name, "graph", "--html") as file:
        from editflow.tasks.lineage.lineage_page import render

        page = render(store, walk.steps, walk.ends, walk.way, " ".join(["editflow lineage", *walk.words]))
        file.write(page.encode())
    if open_:
        show_in_browser(file.path)
    count = len({step.id for step in walk.steps})
    if json:
        print_json({"file": str(file), "artifacts": count})
        return
    print_line(f"graph of {count} artifacts in [bold]{quoted(file)}[/]")
    print_next(
        f"open that file in a browser, or send it; {shell_command('lineage', *walk.words, lake=lake)} for a tree"
    )


def _print_sources(store: Lake, artifact: str, lake: str | None, *, json: bool) -> None:
    from editflow.tasks.lineage.upstream import sources

    found = sources(store, artifact)
    if json:
        print_json(asdict(found) | {"batches": found.batches})
        return
    for row in found.models:
        print_text(f"model {row['artifact'][:12]} ({row['folder']}, {row['dtype']})")
    asked = sum(row["batch"] is None for row in found.facts)
    written = f"{len(found.facts) - asked} facts written in {found.batches} batches, {asked} asked about"
    _print_rows(found.facts, ["batch", "request", "subject", "target_new", "artifact"], written)
    documents = f"{len({row['document'] for row in found.documents})} documents of the corpus"
    _print_rows(found.documents, ["split", "document", "title", "tokens", "artifact"], documents)
    print_next(
        f"{shell_command('lineage', found.artifact[:12], lake=lake)} for all steps between; add --json to this command "
        "for all rows"
    )


def _print_results(store: Lake, name: str, lake: str | None, *, json: bool) -> None:
    from editflow.tasks.lineage.downstream import results
    from editflow.tasks.lineage.impact import source_of

    source = source_of(store, find_state(store, name) or name)
    found = results(store, source)
    if json:
        print_json(asdict(found))
        return
    print_text(
        f"{source.what} {source.name}: in {found.states} states, {len(found.evaluations)} evaluations and "
        f"{len(found.releases)} releases"
    )
    _print_rows(found.evaluations, ["stage", "run", "artifact", "state", "edited", "asked"], "evaluations")
    _print_rows(found.releases, ["name", "release", "at", "state", "stands"], "releases")
    what = f"{source.what}:{source.name}"
    print_next(f"{shell_command('impact', '--withdraw', what, lake=lake)} for the cost of withdrawing it")


def _print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str) -> None:
    """Print the first rows of a table; print nothing if there are none."""
    if rows:
        more = f"; the first {MAX_ROWS}" if len(rows) > MAX_ROWS else ""
        shown = [{name: _cell(name, row[name]) for name in columns} for row in rows[:MAX_ROWS]]
        print_table(shown, columns, title + more)


def _cell(name: str, value: Any) -> Any:
    """A value with a short id, or with yes and no for booleans."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value[:12] if name in {"artifact", "state"} and value else value
