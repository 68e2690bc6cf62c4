"""A run's spec: a TOML file that pydantic checks. Unknown keys fail and name the near miss."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from editing.editors.options import ContextOptions, TargetValueOptions
from editing.errors import EditingError
from editing.linalg.null_space import Threshold
from editing.metrics.texts.options import GenerationOptions
from flows.errors import BadSpec
from flows.sections import (
    AbilitySection,
    CorpusSection,
    Count,
    EditSection,
    EvaluationSection,
    GatesSection,
    ModelSection,
    RequestsSection,
    Section,
    Seed,
    Variant,
)
from flows.settings import PARTS, as_setting, as_written, read_toml_text
from flows.small import read_small
from storage.address import Address, sealed
from storage.refs import check_name


class RunSpec(Section):
    """A whole run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)
    """What commands call the run and its edited model."""
    seeds: list[Seed] = Field(default=[], max_length=1000)
    """Runs the spec once for each, as NAME-SEED: requests.order, in which the same facts come, and contexts.seed."""
    threads: Count | None = Field(default=None, le=256)
    """How many torch uses; all cores unless given. Another number moves the last bits."""
    model: ModelSection = ModelSection()
    corpus: CorpusSection = CorpusSection()
    null_space: Threshold = Threshold()
    requests: RequestsSection
    contexts: ContextOptions = ContextOptions()
    target_values: TargetValueOptions = TargetValueOptions()
    edit: EditSection = EditSection()
    evaluation: EvaluationSection = EvaluationSection()
    texts: GenerationOptions = GenerationOptions()
    ability: AbilitySection = AbilitySection()
    gates: GatesSection = GatesSection()
    variants: list[Variant] = Field(default=[], max_length=1000)
    """For `editflow compare`: each with a `name`, perhaps a `label` for tables, and the keys that it sets otherwise."""

    @model_validator(mode="after")
    def _check(self) -> RunSpec:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {self.seeds}: one stands there twice")
        self._check_gathered()
        return self

    @property
    def gathered(self) -> list[int]:
        """The layers whose second moments are gathered."""
        return self.corpus.layers or self.edit.layers

    def _check_gathered(self) -> None:
        if self.corpus.layers is None:
            return
        if sorted(set(self.gathered)) != self.gathered or self.gathered[0] < 0:
            raise ValueError(f"corpus.layers {self.gathered} must ascend from 0 without repeats")
        if lacking := sorted(set(self.edit.layers) - set(self.gathered)):
            raise ValueError(f"corpus.layers lacks {lacking} of edit.layers: add them, or leave corpus.layers out")

    def each(self) -> list[RunSpec]:
        """The specs of single runs that this one stands for."""
        return [self._under(seed) for seed in self.seeds] or [self]

    def _under(self, seed: int) -> RunSpec:
        requests = self.requests.model_copy(update={"order": seed})
        contexts = replace(self.contexts, seed=seed)
        return self.model_copy(
            update={"name": f"{self.name}-{seed}", "seeds": [], "requests": requests, "contexts": contexts}
        )


def load_spec(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """Read a spec file and apply `key.path=value` settings. Raises BadSpec with one line that names the key.

    A relative request file is looked for beside the spec first, then from the working folder.
    """
    spec = load_any(path, settings)
    if spec.requests.queue is not None:
        raise BadSpec(f"{path}: requests.source = {spec.requests.source!r} is a queue: say `editflow apply`")
    return spec


def load_served(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """The same of a spec whose requests come from a queue."""
    spec = load_any(path, settings)
    if spec.requests.queue is None:
        remedy = 'write requests.source = "queue:current", or say `editflow run`'
        raise BadSpec(f"{path}: its requests come from {spec.requests.source!r}, which is no queue: {remedy}")
    try:
        check_name(spec.requests.queue)
    except ValueError as error:
        raise BadSpec(f"{path}: requests.source: {error}") from None
    lost = [
        key for key in ("count", "skip", "order", "dataset", "references", "withdrawn") if getattr(spec.requests, key)
    ]
    if lost or spec.seeds:
        raise BadSpec(f"{path}: {'seeds' if spec.seeds else f'requests.{lost[0]}'} says nothing of a queue: remove it")
    return spec


def load_any(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """The same wherever the requests come from."""
    raw = read_toml(path)
    for setting in settings:
        apply(raw, setting)
    if raw.get("variants"):
        raise BadSpec(f"{path} has variants, which are for comparing: say `editflow compare`, or remove [[variants]]")
    return located(check_spec(raw, str(path)), path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """What a spec file says, unchecked. Raises BadSpec with one line."""
    try:
        return dict(sealed(read_toml_text(read_small(path, BadSpec))))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.toml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else "; the specs to start from are in specs/"
        raise BadSpec(f"no spec {path}{hint}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadSpec(f"{path} is not a TOML file: {why}") from None


def located(spec: RunSpec, folder: Path) -> RunSpec:
    """The spec with its request files looked for in a folder first."""
    wanted = spec.requests
    given = {"source": wanted.source, "references": wanted.references}
    found = {name: Address(_beside(folder, value)) for name, value in given.items() if value is not None}
    return spec.model_copy(update={"requests": wanted.model_copy(update=found)})


def elsewhere(source: str) -> bool:
    """Whether a source says by itself that it is no file of this machine."""
    return "://" in source or source.startswith(("hub:", "queue:", "data:"))


def _beside(folder: Path, source: Address) -> str:
    """A file beside the spec if there is one, else what was given: from the working folder, or no file at all."""
    given = source.whole
    if elsewhere(source) and not os.path.isfile(folder / given):  # noqa: PTH113 - never raises, whatever the text
        return source
    with suppress(RuntimeError):  # no such user
        given = str(Path(given).expanduser())
    beside = folder / given
    return str(beside) if beside.is_file() else given


def check_spec(raw: Mapping[str, Any], where: str) -> RunSpec:
    """Validate a spec. Raises BadSpec with the first problem, in one line."""
    try:
        spec = RunSpec.model_validate(as_written(raw, RunSpec))
    except ValidationError as error:
        # A misspelt key is what explains a missing one.
        first = min(error.errors(), key=lambda problem: problem["type"] == "missing")
        raise BadSpec(f"{where}: {_explain(first, raw)}") from None
    except EditingError as error:
        raise BadSpec(f"{where}: {error}") from None
    if found := next(_taken_for_another(raw, spec.model_dump()), None):
        raise BadSpec(f"{where}: {found}")
    return spec


def _taken_for_another(raw: Any, read: Any, key: str = "") -> Iterator[str]:
    """What was written as one kind of value and taken for another, as pydantic takes "1", true and 1e3 for numbers."""
    if isinstance(raw, Mapping) and isinstance(read, Mapping):
        for name in raw:
            yield from _taken_for_another(raw[name], read.get(name), f"{key}.{name}" if key else name)
    elif isinstance(raw, list) and isinstance(read, list | tuple):
        for part, value in zip(raw, read, strict=False):
            yield from _taken_for_another(part, value, key)
    elif isinstance(raw, bool) and not isinstance(read, bool):
        yield f"{key} is true or false, where a number is wanted"
    elif isinstance(read, bool) and not isinstance(raw, bool):
        yield f"{key} = {raw!r}: write true or false, without quotes"
    elif isinstance(read, int | float) and isinstance(raw, str):
        yield f"{key} = {raw!r}: write the number without quotes"
    elif isinstance(read, int) and isinstance(raw, float):
        yield f"{key} = {raw!r}: write a whole number, without a point or an exponent"


def _explain(problem: Any, raw: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        near = difflib.get_close_matches(path[-1], _keys_beside(path[:-1]), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(_keys_beside(path[:-1]))}"
        return f"unknown key {key!r}; {hint}"
    # Of a key with several kinds of value, pydantic's own name of the kind stands behind it.
    key = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
    if problem["type"] == "missing":
        return f"key {key!r} is missing; see specs/demo.toml"
    if problem["type"] in {"model_type", "dataclass_type"}:
        return f"{key} is a section, not a value: set a key of it, such as {key}.{_keys_beside(path)[0]}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" + (
        f" (got {sealed(problem['input'])!r})" if not isinstance(problem["input"], Mapping) else ""
    )


def _keys_beside(path: Sequence[str]) -> list[str]:
    """The keys that the section at `path` knows."""
    section: Any = RunSpec
    for part in path:
        field = getattr(section, "model_fields", {}).get(part)
        section = field.annotation if field is not None else None
    if section is None:
        return []
    names = getattr(section, "model_fields", None) or getattr(section, "__dataclass_fields__", {})
    return list(names)


def apply(raw: dict[str, Any], setting: str) -> None:
    """Put `key.path=value` into the raw spec; the value is TOML, or text where it is not."""
    setting = as_setting(setting)
    key, equals, text = setting.whole.partition("=")
    if not equals or not key.strip():
        raise BadSpec(f"--set {setting!r}: write key=value, such as edit.batch_size=50")
    value = _value(setting, text.strip())
    *sections, last = key.strip().split(".")
    if not all(part.strip() for part in (*sections, last)) or len(sections) >= PARTS:
        raise BadSpec(
            f"--set {setting[:200]!r}: a part of the key is empty, or it has too many; write edit.batch_size=50"
        )
    here = raw
    for section in sections:
        here = here.setdefault(section, {})
        if not isinstance(here, dict):
            raise BadSpec(f"--set {setting!r}: {section!r} is a value, not a section")
    here[last] = sealed(value)


def _value(setting: str, text: str) -> Any:
    """The one value that a text is; text that is no TOML stands for itself."""
    try:
        found = read_toml_text(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if text.startswith(("[", '"')):
            raise BadSpec(f"--set {setting[:200]!r}: the value is neither TOML nor plain text: {error}") from None
        found = {"value": text}
        if "\n" in text or "\r" in text:
            raise BadSpec(
                f"--set {setting!r}: one value is wanted, in one line; repeat --set for another key"
            ) from None
    else:
        try:
            # Inside of a table, where neither a comment nor another key can follow.
            whole = read_toml_text(f"table = {{ value = {text} }}") == {"table": found}
        except (tomllib.TOMLDecodeError, RecursionError):
            whole = False
        # NaN is like nothing, not even itself.
        if not whole and not (len(found) == 1 and isinstance(found["value"], float) and "#" not in text):
            raise BadSpec(f"--set {setting!r}: something follows the value; repeat --set for another key")
    return found["value"]
