"""The flow that keeps a served model current: requests from a queue, batch by batch through the gates to a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect import flow

from editflow.editing.editors.method import ClosedForm
from editflow.editing.errors import InvalidRequest, NonFinite
from editflow.editing.requests.record import EditRequest
from editflow.editing.requests.sample import sort_by_hash
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder, print_line, report_stage
from editflow.flows.edit_model import run_batch
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.orchestration.notifications import addresses, notify
from editflow.flows.orchestration.run_artifacts import publish_releases
from editflow.flows.orchestration.run_page import Progress, on_page
from editflow.flows.pipeline.gates import breaches, rejection_lines
from editflow.flows.pipeline.measurements import Measures, questions
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.prerequisites import check_model, draw_contexts, layer_statistics, pin_model, sample_corpus
from editflow.flows.pipeline.run_summary import RunSummary
from editflow.flows.pipeline.tracked_run import retry_on_damage, run_tracked
from editflow.flows.spec.loading import load_queue_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_file import content_of
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import RefConflict
from editflow.storage.records.runs import RunRecord
from editflow.tasks.console.terminal import quoted
from editflow.tasks.models.model_session import state_chain
from editflow.tasks.releases.queue import Queue, QueuedRequest, ReleaseEvent, pending
from editflow.tasks.releases.release import Candidate, apply_next
from editflow.tasks.sources.corpus import describe_corpus
from editflow.tasks.stages.stage import Parents

MAX_LINES = 40
"""Requests listed in a notification."""


@dataclass
class Applying:
    """The judge of one run: edits requests into a state and measures it for the gates."""

    spec: RunSpec
    pipe: Pipeline

    def judge(self, state: str | None, part: Sequence[QueuedRequest], held: Sequence[QueuedRequest]) -> Candidate:
        """Edit these requests into a state and measure it. Depends on state and requests alone, as all stages do."""
        facts, before = [entry.request for entry in part], state or self.model
        name, number = _range_of(part), len(state_chain(self.pipe.lake, before))
        rewrites = self.measures.requests([fact.rewrite for fact in facts], f"rewrites {name}")
        inputs = self._contexts, self._knowledge
        try:
            edited = run_batch(self.spec, self.pipe, before, rewrites, *inputs, len(facts), number)
            measured = self._measured(edited, facts, [entry.request for entry in held], name)
        except NonFinite as error:
            return self._report(Candidate(before, {}, (f"the edited model is broken: {error}",)), part)
        except InvalidRequest as error:  # only the model shows it; not handled, it would block the queue forever
            return self._report(Candidate(before, {}, (f"cannot be edited: {error}",)), part)
        return self._report(Candidate(edited, measured, breaches(self.spec.gates, measured)), part)

    def check(self, released: str | None, name: str) -> None:
        """Raise UsageError if the spec cannot continue the release: another model, other layers, or no keys of earlier
        facts although the method needs them."""
        if released is None:
            return
        spec = self.spec.edit
        first, *others = state_chain(self.pipe.lake, released)
        layers = sorted(set(self.pipe.lake.read(released, ["layer"])["layer"].to_pylist()))
        fault = ""
        if first.id != self.model:
            fault = f"edits another model ({', '.join(str(first.about.get(key)) for key in ('folder', 'dtype'))})"
        elif layers != spec.layers:
            fault = f"edits layers {layers}, not {spec.layers}"
        elif isinstance(spec.chosen, ClosedForm) and any("keys" not in link.parents for link in others):
            fault = f"was trained in part, and {spec.method} needs the keys of all earlier facts"
        if fault:
            raise UsageError(
                f"release {name} {fault}: use the release's setting, or start a new release under another queue name"
            )

    @cached_property
    def model(self) -> str:
        """The artifact that pins the model."""
        return pin_model(self.spec, self.pipe)

    @cached_property
    def measures(self) -> Measures:
        """The measurements of states."""
        check_model(self.spec, self.pipe.about(self.model))
        documents, held_out = self._texts
        return Measures(self.spec, self.pipe, self.model, (), documents, held_out, questions(self.spec))

    @cached_property
    def _texts(self) -> tuple[str, str]:
        return sample_corpus(self.spec, self.pipe, describe_corpus(self.spec.corpus.source), self.model)

    @cached_property
    def _knowledge(self) -> Parents:
        return layer_statistics(self.spec, self.pipe, self._texts[0], self.model)

    @cached_property
    def _contexts(self) -> dict[str, str]:
        return draw_contexts(self.spec, self.pipe, self.model)

    def _measured(
        self, state: str, facts: Sequence[EditRequest], held: Sequence[EditRequest], name: str
    ) -> dict[str, float]:
        """The measured value of each enabled gate; without those that the facts have no prompts for."""
        gates, asked = self.spec.gates, self.measures.evaluate
        found: dict[str, float] = {}
        if gates.efficacy is not False:
            found["efficacy"] = _success(asked(state, facts, ["efficacy"], f"efficacy {name}", f"requests {name}"))
        kept = sort_by_hash(held)[: gates.facts]
        if gates.retention is not False and kept:
            about = f"requests held by {name}"
            found["retention"] = _success(asked(state, kept, ["efficacy"], f"retention {name}", about))
        if gates.neighbourhood is not False and any(fact.neighborhood_prompts for fact in facts):
            after, before = (
                asked(one, facts, ["neighbourhood"], f"neighbourhood {when} {name}", f"requests {name}")
                for one, when in ((state, "after"), (self.model, "before"))
            )
            if "success" in after.get("neighbourhood", {}):
                fall = before["neighbourhood"]["success"] - after["neighbourhood"]["success"]
                found["neighbourhood"] = round(fall, 2)
        return found | self._beyond_facts(state, name)

    def _beyond_facts(self, state: str, name: str) -> dict[str, float]:
        """Perplexity and general ability, compared with the base model."""
        found: dict[str, float] = {}
        if self.spec.gates.perplexity is not False:
            after, before = (self.measures.perplexity(one, name) for one in (state, self.model))
            found["perplexity"] = after / before
        if self.spec.gates.ability is not False and self.measures.cases:
            edited, base = (self.measures.ability(one, name) for one in (state, self.model))
            falls = [
                ways[way]["accuracy"] - edited[case][way]["accuracy"] for case, ways in base.items() for way in ways
            ]
            found["ability"] = max(falls)
        return found

    def _report(self, found: Candidate, part: Sequence[QueuedRequest]) -> Candidate:
        what = _range_of(part)
        why = quoted("; ".join(found.breaches))
        print_line(f"  {what}: " + (f"[yellow]not released[/]: {why}" if why else "[green]passes the gates[/]"))
        return found


def _range_of(part: Sequence[QueuedRequest]) -> str:
    return f"{part[0].id}" + (f" to {part[-1].id}" if len(part) > 1 else "")


def _success(summary: Mapping[str, Mapping[str, float]]) -> float:
    """The percent of facts whose new answer is more likely than the old one, or without an old one is the model's."""
    scores = summary["efficacy"]
    return scores.get("success", scores["accuracy"])


def apply_pending(spec: RunSpec, pipe: Pipeline, batches: int | None = None) -> RunSummary:
    """Apply pending requests, at most `batches` batches; return the run's summary. Without any, compute nothing.

    After each batch, write tables and curves of the releases to the run's page in Prefect, and notify of rejections.
    """
    addresses()  # a wrong one is reported before anything is computed
    queue = Queue(pipe.lake.files, spec.requests.queue or "")
    before, first = queue.state(), queue.events()
    applying = Applying(spec, pipe)
    waiting = len(pending(queue.entries(), before))
    progress = Progress(spec.name, "requests")
    if waiting or before.open:
        _ = applying.measures  # faults of model or spec are reported before a batch begins
        applying.check(before.state, queue.name)
    done, known = 0, len(first)
    while batches is None or done < batches:
        more = apply_next(queue, spec.edit.batch_size, applying.judge, pipe.record.run_id)
        pipe.flush()
        known = _publish(queue, spec, pipe.record, known)
        if more is None:
            break
        done += 1
        progress.at(waiting - len(pending(queue.entries(), more)), waiting)
    current = queue.state()
    settled = [asdict(move) | {"release": n} for n, move in queue.events()[len(first) :] if move.move == "settle"]
    return {
        "queue": queue.name, "state": current.state, "release": current.release, "released_before": before.release,
        "settled": settled, "pending": len(pending(queue.entries(), current)),
    }  # fmt: skip


def _publish(queue: Queue, spec: RunSpec, record: RunRecord, known: int) -> int:
    """Publish the decisions after the first `known` events, and notify of new rejections."""
    moves = queue.events()
    if len(moves) > known:
        on_page(
            lambda: publish_releases(record, spec.gates, moves),
            "the releases could not be written to the run's page in Prefect",
        )
    _notify(queue, moves)
    return len(moves)


def _notify(queue: Queue, moves: Sequence[tuple[int, ReleaseEvent]]) -> None:
    """Notify of rejections that were not reported yet, also those of another run, which may have been killed.

    A notification is recorded after it is sent, so none is lost; after a kill between the two it is sent again.
    """
    before, version = queue.notices.get(queue.name) or (0, 0)
    lines = rejection_lines([(number, move) for number, move in moves if number > before], queue.entries())
    if not lines or not addresses():
        return
    many = "1 request" if len(lines) == 1 else f"{len(lines)} requests"
    more = [f"and {len(lines) - MAX_LINES} more: `editflow queue {queue.name}`"] if len(lines) > MAX_LINES else []
    notify(f"EditFlow: a gate held back {many} from release {queue.name}", "\n".join([*lines[:MAX_LINES], *more]))
    with suppress(RefConflict):  # another run has reported the same
        queue.notices.set(queue.name, moves[-1][0], version)


@flow(name="apply-edits", flow_run_name="{spec}", validate_parameters=False, on_running=[label_process])
def apply_edits(
    spec: str, settings: Sequence[str] = (), lake: str | None = None, batches: int | None = None
) -> dict[str, Any]:
    """Apply the pending requests of a spec's queue through its gates; return the run's record as JSON.

    `settings` are `key.path=value` overrides; `lake` is EDITFLOW_LAKE or ./lake unless given; `batches` is the maximum
    number of batches.
    """
    place = Lake.open(lake_folder(lake))
    wanted = content_of(spec, settings, load_queue_spec)

    def work(one: RunSpec, pipe: Pipeline) -> RunSummary:
        return retry_on_damage(lambda: apply_pending(one, pipe, batches), pipe)

    return asdict(run_tracked(wanted, place, str(Path(spec)), report_stage, work))
