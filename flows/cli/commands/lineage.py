"""editflow lineage"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from editflow.flows.cli.common.completers import state_names
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import named_state, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import console, print_json, print_line, print_table, print_text
from editflow.flows.console.output import show as as_text
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from rich.tree import Tree

    from editflow.storage.artifacts.store import Lake
    from editflow.storage.queries.query import Step

MOST = 20
"""Rows of a table of facts, documents or evaluations."""


def lineage(
    artifact: Annotated[str, Parameter(completer=state_names)],
    /,
    *,
    up: Annotated[bool, Parameter(negative=(), help="What it was made from (the default).")] = False,
    down: Annotated[bool, Parameter(negative=(), help="What was made from it.")] = False,
    to: Annotated[str | None, Parameter(help="Every way to this other artifact, and nothing else.",
                                        completer=state_names)] = None,
    sources: Annotated[bool, Parameter(negative=(), help="Which model, facts and documents stand behind it.")] = False,
    results: Annotated[bool, Parameter(negative=(), help="Which evaluations and releases it is in.")] = False,
    html: Annotated[Path | None, Parameter(help="Write a page with the graph, to look at or to send.")] = None,
    open_: Annotated[bool, Parameter(name="--open", negative=(), help="Open that page in the browser.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Show what an artifact was made from, what was made from it, or what lies between two, as a tree or a graph.

    --results also takes a fact or a document: request:ID or document:NAME.

    Parameters
    ----------
    artifact
        An artifact's id, the first six or more digits of it, or a spec's name for the state its latest run made.
    """
    asked = [name for name, given in {"--up": up, "--down": down, "--to": to is not None, "--sources": sources,
                                      "--results": results}.items() if given]  # fmt: skip
    if len(asked) > 1:
        raise UsageError(f"{asked[0]} and {asked[1]} exclude each other: choose one")
    if (sources or results) and (html is not None or open_):
        raise UsageError(f"{asked[0]} is a table and no graph: leave out {'--open' if html is None else '--html'}")
    store = open_lake(lake)
    if results:
        _results(store, artifact, lake, json=json)
        return
    if ":" in artifact:
        raise UsageError(f"{artifact} names no artifact: say --results behind it, or give an artifact's id")
    id_ = named_state(store, artifact) or artifact
    if sources:
        _sources(store, id_, lake, json=json)
        return
    found = _walked(store, id_, to, down=down)
    if html is not None or open_:
        _page(store, found, html, lake, open_=open_, json=json)
    elif json:
        print_json([asdict(step) for step in found.steps])
    else:
        _print(found, lake)


@dataclass(frozen=True)
class _Walk:
    """The steps of a walk, where it starts and, of a way between two, ends, and the words that ask for it."""

    steps: Sequence[Step]
    ends: Sequence[str]
    words: Sequence[str]
    way: str
    down: bool = False


def _walked(store: Lake, artifact: str, to: str | None, *, down: bool) -> _Walk:
    from editflow.storage.queries.lineage_paths import between
    from editflow.storage.queries.query import lineage as steps_of

    if to is None:
        steps = steps_of(store, artifact, "down" if down else "up")
        words = [steps[0].id[:12], *(["--down"] if down else [])]
        return _Walk(steps, [steps[0].id], words, "downstream" if down else "upstream", down)
    ends = [store.manifest(one).id for one in (artifact, named_state(store, to) or to)]
    words = [ends[0][:12], "--to", ends[1][:12]]
    return _Walk(between(store, *ends), list(dict.fromkeys(ends)), words, "between")


def _print(found: _Walk, lake: str | None) -> None:
    if not found.steps:
        one, other = (id_[:12] for id_ in found.ends)
        print_line(f"nothing leads from {one} to {other}: neither was made from the other")
        print_next(f"{typed('lineage', one, lake=lake)} for what the first was made from")
        return
    console().print(tree(found.steps))
    root = found.steps[0].id[:12]
    if found.down:
        print_next(f"{typed('lineage', root, lake=lake)} for what it was made from")
    elif len(found.ends) > 1:
        print_next(f"{typed('lineage', *found.words, '--open', lake=lake)} for the same as a graph")
    else:
        print_next(f"{typed('lineage', root, '--down', lake=lake)} for what was made from it")


def tree(steps: Sequence[Step]) -> Tree:
    """The steps of a walk as a tree; what was drawn before is not drawn out again."""
    from rich.tree import Tree

    children: dict[str | None, list[Any]] = {}
    for step in steps:
        children.setdefault(step.via, []).append(step)
    root = steps[0]
    drawn = {root.id}
    found = Tree(Text(as_text(f"{root.kind} {root.id[:12]}")))
    # A list of what is left to draw instead of recursion: a chain has as many links as a run has batches.
    waiting = [(found, step) for step in reversed(children.get(root.id, []))]
    while waiting:
        node, step = waiting.pop()
        seen = step.id in drawn
        above = " (above)" if seen and children.get(step.id) else ""
        label = as_text(f"{step.role}: {step.kind} {step.id[:12]}")
        branch = node.add(Text.assemble(label, (above, "dim")))
        if not seen:
            drawn.add(step.id)
            waiting += [(branch, below) for below in reversed(children.get(step.id, []))]
    return found


def _page(store: Lake, found: _Walk, html: Path | None, lake: str | None, *, open_: bool, json: bool) -> None:
    from editflow.flows.console.output_files import named, show_in_browser, target

    if not found.steps:
        one, other = (id_[:12] for id_ in found.ends)
        raise UsageError(f"nothing leads from {one} to {other}, so there is no graph: neither was made from the other")
    name = named("-".join(found.words).replace("---", "-"), "-lineage.html")
    with target(html, name, "graph", "--html") as file:
        from editflow.tasks.lineage.page import render

        page = render(store, found.steps, found.ends, found.way, " ".join(["editflow lineage", *found.words]))
        file.write(page.encode())
    if open_:
        show_in_browser(file.path)
    count = len({step.id for step in found.steps})
    if json:
        print_json({"file": str(file), "artifacts": count})
        return
    print_line(f"graph of {count} artifacts in [bold]{quoted(file)}[/]")
    print_next(f"open that file in a browser, or send it; {typed('lineage', *found.words, lake=lake)} for a tree")


def _sources(store: Lake, artifact: str, lake: str | None, *, json: bool) -> None:
    from editflow.tasks.lineage.upstream import sources

    found = sources(store, artifact)
    if json:
        print_json(asdict(found) | {"batches": found.batches})
        return
    for row in found.models:
        print_text(f"model {row['artifact'][:12]} ({row['folder']}, {row['dtype']})")
    asked = sum(row["batch"] is None for row in found.facts)
    _listed(found.facts, ["batch", "request", "subject", "target_new", "artifact"],
            f"{len(found.facts) - asked} facts written in {found.batches} batches, {asked} asked about")  # fmt: skip
    _listed(found.documents, ["split", "document", "title", "tokens", "artifact"],
            f"{len({row['document'] for row in found.documents})} documents of the corpus")  # fmt: skip
    print_next(f"{typed('lineage', found.artifact[:12], lake=lake)} for every step between, --json behind this for all")


def _results(store: Lake, named: str, lake: str | None, *, json: bool) -> None:
    from editflow.tasks.lineage.downstream import results
    from editflow.tasks.lineage.impact import source_of

    source = source_of(store, named_state(store, named) or named)
    found = results(store, source)
    if json:
        print_json(asdict(found))
        return
    print_text(f"{source.what} {source.name}: in {found.states} states, {len(found.evaluations)} evaluations and "
         f"{len(found.releases)} releases")  # fmt: skip
    _listed(found.evaluations, ["stage", "run", "artifact", "state", "edited", "asked"], "evaluations")
    _listed(found.releases, ["name", "release", "at", "state", "stands"], "releases")
    what = f"{source.what}:{source.name}"
    print_next(f"{typed('impact', '--withdraw', what, lake=lake)} for what doing without it would cost")


def _listed(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str) -> None:
    """The first rows of a table, with short ids and words for yes and no; nothing where there are none."""
    if rows:
        more = f"; the first {MOST}" if len(rows) > MOST else ""
        print_table([{name: _cell(name, row[name]) for name in columns} for row in rows[:MOST]], columns, title + more)


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value[:12] if name in {"artifact", "state"} and value else value
