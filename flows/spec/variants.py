"""The rows of a comparison: every variant of every spec, validated before anything is computed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from editflow.flows.console.errors import BadSpec, UsageError
from editflow.flows.spec.address_fields import unseal_other_fields
from editflow.flows.spec.loading import read_toml, run_spec, with_local_files
from editflow.flows.spec.overrides import apply_all
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.sections import Seed, Variant
from editflow.flows.spec.spec_validation import check_spec
from editflow.flows.spec.toml_text import RawSpec

MAX_NAME = 64
"""Maximum number of characters of a run's name."""


@dataclass(frozen=True)
class Contender:
    """A row of a comparison: a spec with a variant's settings, which runs once for each of `runs`' seeds."""

    label: str
    origin: str
    """The name of the file's spec, without that of the variant."""
    path: Path
    spec: RunSpec
    settings: Mapping[str, Any]
    """The values that the variant sets, by dotted key."""

    @property
    def runs(self) -> list[tuple[int | None, RunSpec]]:
        """(seed, spec) of each run; without seeds, (None, the unchanged spec)."""
        seeds: list[int | None] = [*self.spec.seeds] or [None]
        return list(zip(seeds, self.spec.each(), strict=True))

    @property
    def model(self) -> str:
        """The name of the model in tables."""
        return PurePath(self.spec.model.source).name

    @property
    def group(self) -> tuple[Any, ...]:
        """The model and the facts; rows that share them are in one table."""
        return (self.spec.model, self.spec.requests.model_copy(update={"order": None}), tuple(self.spec.seeds))


def read_contenders(
    specs: Sequence[Path], settings: Sequence[str] = (), seeds: Sequence[int] | None = None
) -> list[Contender]:
    """The rows of a comparison, in order; `settings` (`key.path=value`) and `seeds` override all of them.

    Raises BadSpec naming file, variant, key and remedy, for invalid specs and for two rows that are the same run.
    """
    return _checked_rows([one for path in specs for one in _rows(read_toml(path), path, settings, seeds)])


def load_spec_or_contenders(path: Path, settings: Sequence[str] = ()) -> RunSpec | list[Contender]:
    """The spec of a run, or the rows of a comparison if the file has variants. Raises BadSpec."""
    raw = read_toml(path)
    return (
        _checked_rows(list(_rows(raw, path, settings, None))) if raw.get("variants") else run_spec(raw, path, settings)
    )


def _checked_rows(found: list[Contender]) -> list[Contender]:
    """The rows under labels of their own. Raises BadSpec for a name that is too long, and for two equal runs."""
    for one in found:
        if long := next((run.name for _, run in one.runs if len(run.name) > MAX_NAME), None):
            raise BadSpec(
                f"{one.path}: the run's name {long!r} is longer than {MAX_NAME} characters: shorten the names"
            )
    _refuse_duplicates(found)
    return _with_unique_labels(found)


def read_seeds(given: Sequence[str] | None) -> list[int] | None:
    """Seeds from the command line: `0,1,2`, or the option several times. Raises UsageError for anything else."""
    if given is None:
        return None
    try:
        found = TypeAdapter(list[Seed]).validate_python([part.strip() for text in given for part in text.split(",")])
    except ValidationError:
        raise UsageError(f"--seeds {','.join(given)}: give whole numbers from 0, such as --seeds 0,1,2") from None
    if len(set(found)) < len(found):
        raise UsageError(f"--seeds {','.join(given)}: one is listed twice; list each once")
    return found


def _rows(raw: RawSpec, path: Path, settings: Sequence[str], seeds: Sequence[int] | None) -> Iterator[Contender]:
    """The rows of one file, which is already read; changes `raw`."""
    apply_all(raw, settings)
    if seeds is not None:
        raw["seeds"] = list(seeds)
    variants = raw.pop("variants", [])
    if not variants:
        spec = with_local_files(check_spec(raw, str(path)), path.parent)
        yield Contender(spec.name, spec.name, path, spec, {"edit.method": spec.edit.method})
        return
    for variant in _validated(variants, path):
        given = variant.model_extra or {}
        where = f"{path}: variant {variant.name!r}"
        merged = _merged(raw, given)
        apply_all(merged, settings)  # settings override variants
        merged["name"] = f"{raw['name']}-{variant.name}" if isinstance(raw.get("name"), str) else raw.get("name")
        merged.pop("variants", None)
        spec = with_local_files(check_spec(merged, where), path.parent)
        changed = dict(_flat(unseal_other_fields(given, RunSpec)))
        yield Contender(variant.label or variant.name, str(raw["name"]), path, spec, changed)


def _validated(variants: Any, path: Path) -> list[Variant]:
    """The variants with valid names; the keys that they set are validated with the rest of the spec."""
    if not isinstance(variants, list):
        raise BadSpec(f"{path}: variants must be a list of tables: write [[variants]] with a name in each")
    found: list[Variant] = []
    for number, raw in enumerate(variants, 1):
        name = raw.get("name", "") if isinstance(raw, dict) else ""
        where = f"{path}: variant {name!r}" if name else f"{path}: variant {number}"
        try:
            variant = Variant.model_validate(unseal_other_fields(raw, Variant))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "variants"
            raise BadSpec(
                f"{where}: {key}: {first['msg']}; give each a name of small letters, digits and dashes"
            ) from None
        if reserved := {"seeds", "variants"} & set(variant.model_extra or {}):
            raise BadSpec(f"{where}: {min(reserved)} cannot differ between variants: set it for the whole spec")
        if variant.name in {other.name for other in found}:
            raise BadSpec(f"{where}: two variants have this name; give one of them another")
        found.append(variant)
    return found


def _merged(raw: Mapping[str, Any], over: Mapping[str, Any]) -> RawSpec:
    """A copy of a raw spec with some keys replaced, section by section."""
    found = copy.deepcopy(dict(raw))
    for key, value in over.items():
        here = found.get(key)
        inner = isinstance(here, dict) and isinstance(value, Mapping)
        found[key] = _merged(here or {}, value) if inner else copy.deepcopy(value)
    return found


def _flat(given: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _refuse_duplicates(found: Sequence[Contender]) -> None:
    """Raise BadSpec for two runs with the same name, or two rows that run the same."""
    named: dict[str, Contender] = {}
    same: list[tuple[RunSpec, Contender]] = []
    for one in found:
        for _, run in one.runs:
            if (other := named.setdefault(run.name, one)) is not one:
                places = f"{other.path} and {one.path}" if other.path != one.path else str(one.path)
                raise BadSpec(f"{places}: two runs are called {run.name!r}; rename a spec or variant")
        plain = _resolved(one.spec)
        if twin := next((other for spec, other in same if spec == plain), None):
            raise BadSpec(
                f"{one.path}: {one.spec.name!r} runs the same as {twin.spec.name!r}: remove one, or change a key"
            )
        same.append((plain, one))


def _resolved(spec: RunSpec) -> RunSpec:
    """The spec without its name, and with the method's defaults filled in."""
    edit = spec.edit.model_copy(update=vars(spec.edit.options))
    return spec.model_copy(update={"name": "", "edit": edit})


def _with_unique_labels(found: list[Contender]) -> list[Contender]:
    """The rows with unique labels: the name of its spec is added to a repeated label."""
    labels = [one.label for one in found]
    return [
        replace(one, label=f"{one.label} ({one.spec.name})") if labels.count(one.label) > 1 else one for one in found
    ]
