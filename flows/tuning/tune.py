"""The flow that searches settings for a model: spectra → threshold → trials on probe facts → a spec and a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from prefect import flow

from editflow.editing.linalg.threshold_suggestion import suggest
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line, report_stage
from editflow.flows.console.output_files import write
from editflow.flows.pipeline.measurements import Measures
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.prerequisites import (
    check_model,
    layer_spectrum,
    layer_statistics,
    merged_second_moment,
    pin_model,
    sample_corpus,
)
from editflow.flows.pipeline.run_summary import RunSummary
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.tuning.arguments import Split, TuneArguments, check, draft, fit_to_model, split
from editflow.flows.tuning.budget import Budget
from editflow.flows.tuning.search_space import SearchRange, Setting, sweeps
from editflow.flows.tuning.spec_writer import FreeDirections, spec_text
from editflow.flows.tuning.trial import Trial, TrialRunner, best_trial, search
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.console.terminal import quoted
from editflow.tasks.sources.corpus import describe_corpus
from editflow.tasks.stages.edits import CONTEXTS
from editflow.tasks.stages.moments import read_spectrum
from editflow.tasks.stages.tuning_trials import trial_scores


@dataclass
class Tuning:
    """One search in one lake. Its fields fill up as it runs, so that an interruption loses nothing."""

    arguments: TuneArguments
    budget: Budget
    chosen: Split
    report: Callable[[str], None]
    trials: list[Trial] = field(default_factory=list)
    free: list[FreeDirections] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    spec: RunSpec | None = None
    artifact: str = ""

    def work(self, draft: RunSpec, pipe: Pipeline) -> RunSummary:
        """Run the search as the work of a recorded run; finished trials are kept even if it is interrupted."""
        runner = self._prepare(draft, pipe)
        self.spec = runner.spec
        about = pipe.about(runner.model)
        start = Setting.of(runner.spec)
        planned = sweeps(about.depth, self.arguments.fixed, SearchRange.of(about.model_type), start.regulariser)
        report, pipe.report = pipe.report, lambda _use, _ref: None
        try:
            for trial in search(runner, start, planned, self.budget):
                self.trials.append(trial)
                self.report(trial_line(trial))
                pipe.flush()
        finally:
            pipe.report = report
            self._save(runner)
        return {}

    def _prepare(self, draft: RunSpec, pipe: Pipeline) -> TrialRunner:
        """Compute what all trials share: moments, spectra, null spaces, contexts and the base model's scores."""
        corpus = describe_corpus(draft.corpus.source)
        model = pin_model(draft, pipe)
        about = pipe.about(model)
        spec = fit_to_model(self.arguments, draft, about)
        check_model(spec, about)
        documents, held_out = sample_corpus(spec, pipe, corpus, model)
        measures = Measures(spec, pipe, model, self.chosen.probes, documents, held_out)
        measures.measure_all(model, self.chosen.probes, "before", "requests")
        if "null_space" in spec.edit.chosen.required_statistics(spec.edit.options):
            spec = self._with_threshold(spec, pipe, merged_second_moment(spec, pipe, documents, model))
        candidates = spec.edit.model_copy(update={"layers": spec.moment_layers})
        layer_statistics(spec.model_copy(update={"edit": candidates}), pipe, documents, model)
        pipe.run(CONTEXTS, spec.contexts, {"model": model})
        requests = measures.requests(self.chosen.probes, "requests")
        runner = TrialRunner(spec, pipe, self.chosen.probes, model, documents, held_out, requests)
        self.before = trial_scores(pipe.lake, runner.evaluation_of(model))
        pipe.flush()
        return runner

    def _with_threshold(self, spec: RunSpec, pipe: Pipeline, moment: str) -> RunSpec:
        """The spec with the threshold that the spectra suggest, unless one was set; records each null space."""
        spectra = {layer: layer_spectrum(pipe, moment, layer) for layer in spec.moment_layers}
        eigenvalues = {layer: read_spectrum(pipe.lake, id_)[1].eigenvalues for layer, id_ in spectra.items()}
        chosen = spec.null_space if "null_space" in self.arguments.given else suggest(list(eigenvalues.values()))
        for layer, values in eigenvalues.items():
            rank, width = chosen.rank(values), len(values)
            self.free.append({"layer": layer, "width": width, "null space": rank, "free %": 100 * rank / width})
        return spec.model_copy(update={"null_space": chosen})

    def _save(self, runner: TrialRunner) -> None:
        """Store the table of trials and write the spec of the best one."""
        best = best_trial(self.trials)
        if best is None:
            return
        self.artifact = runner.archive(self.trials).id
        runner.pipe.flush()
        text = spec_text(self.arguments, runner.spec, best, self.trials, self.free, self.chosen.unseen)
        check(self.arguments)  # another process may have written a file there meanwhile
        write(self.arguments.out, text.encode(), "spec")

    def result(self, record: RunRecord) -> dict[str, Any]:
        """The result as JSON. Raises UsageError if no trial succeeded."""
        best = best_trial(self.trials)
        if best is None or self.spec is None:
            error = self.trials[0].error if self.trials else "no trial ran"
            raise UsageError(f"every setting failed ({error}); correct it with --set")
        return {
            "run": record.run_id, "spec": str(self.arguments.out), "artifact": self.artifact, "best": best.number,
            "threshold": asdict(self.spec.null_space) | {"layers": self.free} if self.free else None,
            "probes": [fact.request_id for fact in self.chosen.probes], "unseen": self.chosen.unseen,
            "before": self.before, "trials": [row(trial) for trial in self.trials],
        }  # fmt: skip


def row(trial: Trial) -> dict[str, Any]:
    """A trial as a row of JSON and of tables."""
    return {
        "trial": trial.number,
        **trial.recipe(),
        **trial.scores,
        "own_s": round(trial.own, 2),
        "state": trial.state,
    }


def trial_line(trial: Trial) -> str:
    """A trial as one line of terminal markup."""
    setting = trial.setting
    layers = f"{setting.layers[0]}–{setting.layers[-1]}" if len(setting.layers) > 1 else str(setting.layers[0])
    found = f"objective [bold]{trial.objective:.1f}[/]" if not trial.error else f"[red]{quoted(trial.error)}[/]"
    name = setting.regulariser
    return (
        f"  trial {trial.number:2} {trial.varied:13} layers {layers:6} lr {setting.learning_rate:g} "
        f"clamp {setting.clamp:g} stop {setting.stop_at:g} {name} {getattr(setting, name):g}: {found} "
        f"[dim]{trial.own:.1f} s[/]"
    )


def tune(
    arguments: TuneArguments,
    lake: Lake,
    kind: type[Pipeline] = Pipeline,
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[str], None] = print_line,
) -> dict[str, Any]:
    """Find a setting and write its spec; return what `--json` prints. A pipeline of class `kind` runs the stages.

    Takes about the budget, or the shared work and one trial if these take longer. Raises UsageError and what a run
    raises. After an interruption all finished trials are kept, and the same arguments continue from there.
    """
    budget = Budget(60 * arguments.minutes, clock)
    check(arguments)
    spec = draft(arguments)
    tuning = Tuning(arguments, budget, split(arguments, spec.requests.dataset), report)
    record = run_tracked(spec, lake, str(arguments.out), report_stage, tuning.work, kind)
    return tuning.result(record)


@flow(name="tune-model", flow_run_name="{model}", validate_parameters=False)
def tune_model(
    model: str,
    requests: str,
    minutes: float,
    lake: str,
    facts: int,
    corpus: str | None,
    seed: int,
    settings: Sequence[str],
    out: str,
) -> dict[str, Any]:
    """`tune` as a flow in Prefect; the parameters are the command's."""
    from pathlib import Path

    arguments = TuneArguments(model, requests, minutes, facts, corpus, seed, tuple(settings), Path(out))
    return tune(arguments, Lake.open(lake))
