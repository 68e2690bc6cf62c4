"""The spec that a search writes: runnable TOML with the measured scores beside each value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, TypedDict

from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.tuning.arguments import EVALUATED_FACTS, MARK, TuneArguments, absolute
from editflow.flows.tuning.search_space import SEARCHED, Setting
from editflow.flows.tuning.trial import Trial, best_trial
from editflow.tasks.console.terminal import safe

BATCH_SIZE = 20
"""Facts per batch in the written spec, unless a setting says otherwise."""

FreeDirections = TypedDict("FreeDirections", {"layer": int, "width": int, "null space": int, "free %": float})
"""The size of a layer's null space. The keys are also column headings."""


@dataclass(frozen=True)
class Line:
    """A key and its value as TOML, the reason for the value, and the other values that were tried."""

    text: str
    why: str = ""
    others: Sequence[str] = ()


def spec_text(
    arguments: TuneArguments,
    spec: RunSpec,
    best: Trial,
    trials: Sequence[Trial],
    free: Sequence[FreeDirections],
    unseen: int,
) -> str:
    """The text of the written spec."""
    import jinja2

    template = files("editflow.flows.tuning").joinpath("tuned.toml.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)  # noqa: S701
    return environment.from_string(template).render(
        mark=MARK,
        model=safe(arguments.model),
        source=safe(arguments.requests),
        best=best,
        scores=best.scores,
        count=len(trials),
        name=Line(_toml("name", spec.name.replace("tune-", "tuned-", 1))),
        threads=Line(_toml("threads", spec.threads)) if spec.threads else None,
        sections=_sections(arguments, best.setting.apply_to(spec), trials, free, unseen),
    )


def _sections(
    arguments: TuneArguments, spec: RunSpec, trials: Sequence[Trial], free: Sequence[FreeDirections], unseen: int
) -> dict[str, list[Line]]:
    """The lines of every section: keys that differ from their defaults, and all that the search chose."""
    batch = spec.edit.batch_size if "batch_size" in arguments.given.get("edit", {}) else BATCH_SIZE
    chosen: dict[str, dict[str, Any]] = {
        "model": {"source": absolute(arguments.model)},
        "corpus": {"source": absolute(spec.corpus.source)},
        **({"null_space": asdict(spec.null_space)} if free else {}),
        "requests": {"source": absolute(arguments.requests), "count": min(unseen, EVALUATED_FACTS)},
        "edit": {"layers": None, "z_layer": None, Setting.of(spec).regulariser: None, "batch_size": batch},
        "target_values": dict.fromkeys(("learning_rate", "clamp", "stop_at", "steps")),
        "evaluation": {"after_batch": ["efficacy"], "checkpoint_every": 2},
    }
    raw, default_spec = (
        spec.model_dump(exclude_none=True),
        RunSpec.model_validate({"requests": {"source": ""}, "name": "x"}),
    )
    defaults = default_spec.model_dump()
    found: dict[str, list[Line]] = {}
    for section, keys in raw.items():
        if not isinstance(keys, Mapping):
            continue
        own = chosen.get(section, {})
        values = {k: v for k, v in keys.items() if k in own or v != defaults[section].get(k)}
        values |= {k: v for k, v in own.items() if v is not None}
        lines = [_line(f"{section}.{k}", v, trials, free) for k, v in values.items()]
        if lines:
            found[section] = lines
    return found


def _line(key: str, value: Any, trials: Sequence[Trial], free: Sequence[FreeDirections]) -> Line:
    name = key.partition(".")[2]
    coordinate = next((field for field, searched in SEARCHED.items() if searched == key), None)
    if coordinate is None:
        return Line(_toml(name, value), _why(key, free))
    others = []
    for other in _values(trials, coordinate):
        if other != value:
            same = [t for t in trials if _plain(getattr(t.setting, coordinate)) == other]
            found = best_trial(same)
            outcome = (
                f"{found.objective:.1f} at best, trial {found.number}" if found else f"failed: {safe(same[0].error)}"
            )
            others.append(f"{_toml(name, other)}  # {outcome}")
    own = best_trial(t for t in trials if _plain(getattr(t.setting, coordinate)) == value)
    return Line(_toml(name, value), f"{own.objective:.1f} at best, trial {own.number}" if own else "", others)


def _why(key: str, free: Sequence[FreeDirections]) -> str:
    if key == "null_space.value" and free:
        least, most = min(row["free %"] for row in free), max(row["free %"] for row in free)
        return f"leaves {least:.0f} to {most:.0f} % of the directions of a layer to edits"
    return {
        "corpus.layers": "the layers whose spectra the search measured; runs reuse them",
        "requests.exclude_probes": "the probes: the search never saw the facts of this run",
        "requests.count": "raise it for more facts; without it, all are edited",
        "null_space.rule": "scale-free: the share of the keys' energy that edits may touch",
        "edit.z_layer": "the last edited layer",
    }.get(key, "")


def _values(trials: Iterable[Trial], coordinate: str) -> list[Any]:
    return list({str(v): v for t in trials for v in [_plain(getattr(t.setting, coordinate))]}.values())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _toml(key: str, value: Any) -> str:
    """One line of TOML."""
    import tomli_w

    return " ".join(part.strip() for part in tomli_w.dumps({key: _plain(value)}).strip().split("\n"))
