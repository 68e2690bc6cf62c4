"""What `editflow compare` runs: every variant of every spec, validated before anything is loaded."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from editflow.flows.console.errors import BadSpec, UsageError
from editflow.flows.spec.address_fields import as_written
from editflow.flows.spec.loading import located, read_toml, run_spec
from editflow.flows.spec.overrides import apply_all
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.sections import Seed, Variant
from editflow.flows.spec.spec_validation import check_spec

LONGEST = 64
"""Characters of a run's name."""


@dataclass(frozen=True)
class Contender:
    """A row of a comparison: a spec with a variant's settings, which runs once for each of `runs`' seeds."""

    label: str
    origin: str
    """The name of the file's spec, without the variant's."""
    path: Path
    spec: RunSpec
    settings: Mapping[str, Any]
    """What the variant sets, by dotted key."""

    @property
    def runs(self) -> list[tuple[int | None, RunSpec]]:
        """(seed, spec) of each run; without seeds one, the unchanged spec."""
        seeds: list[int | None] = [*self.spec.seeds] or [None]
        return list(zip(seeds, self.spec.each(), strict=True))

    @property
    def model(self) -> str:
        """What the model is called in tables."""
        return PurePath(self.spec.model.source).name

    @property
    def ground(self) -> tuple[Any, ...]:
        """What must be the same for two rows to stand in one table: the model and the facts."""
        return (self.spec.model, self.spec.requests.model_copy(update={"order": None}), tuple(self.spec.seeds))


def read_contenders(
    specs: Sequence[Path], settings: Sequence[str] = (), seeds: Sequence[int] | None = None
) -> list[Contender]:
    """The rows of a comparison, in order; `settings` (`key.path=value`) and `seeds` override all of them.

    Raises BadSpec naming file, variant, key and remedy: for what makes no run, and for two rows that would be one.
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
        if long := next((run.name for _, run in one.runs if len(run.name) > LONGEST), None):
            raise BadSpec(f"{one.path}: the run's name {long!r} is longer than {LONGEST} characters: shorten the names")
    _refuse_doubles(found)
    return _told_apart(found)


def read_seeds(given: Sequence[str] | None) -> list[int] | None:
    """Seeds as typed: `0,1,2`, or the option several times. UsageError for anything else."""
    if given is None:
        return None
    try:
        found = TypeAdapter(list[Seed]).validate_python([part.strip() for text in given for part in text.split(",")])
    except ValidationError:
        raise UsageError(f"--seeds {','.join(given)}: give whole numbers from 0, such as --seeds 0,1,2") from None
    if len(set(found)) < len(found):
        raise UsageError(f"--seeds {','.join(given)}: one is listed twice; list each once")
    return found


def _rows(raw: dict[str, Any], path: Path, settings: Sequence[str], seeds: Sequence[int] | None) -> Iterator[Contender]:
    """The rows of one file, which is already read; changes `raw`."""
    apply_all(raw, settings)
    if seeds is not None:
        raw["seeds"] = list(seeds)
    variants = raw.pop("variants", [])
    if not variants:
        spec = located(check_spec(raw, str(path)), path.parent)
        yield Contender(spec.name, spec.name, path, spec, {"edit.method": spec.edit.method})
        return
    for variant in _checked(variants, path):
        given = variant.model_extra or {}
        where = f"{path}: variant {variant.name!r}"
        merged = _merged(raw, given)
        apply_all(merged, settings)  # what is typed last counts most
        merged["name"] = f"{raw['name']}-{variant.name}" if isinstance(raw.get("name"), str) else raw.get("name")
        merged.pop("variants", None)
        spec = located(check_spec(merged, where), path.parent)
        yield Contender(
            variant.label or variant.name, str(raw["name"]), path, spec, dict(_flat(as_written(given, RunSpec)))
        )


def _checked(variants: Any, path: Path) -> list[Variant]:
    """The variants by themselves; what they set is checked with the rest of the spec."""
    if not isinstance(variants, list):
        raise BadSpec(f"{path}: variants is a list of tables: write [[variants]] with a name in each")
    found: list[Variant] = []
    for number, raw in enumerate(variants, 1):
        name = raw.get("name", "") if isinstance(raw, dict) else ""
        where = f"{path}: variant {name!r}" if name else f"{path}: variant {number}"
        try:
            variant = Variant.model_validate(as_written(raw, Variant))
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


def _merged(raw: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with other values for some keys; sections are gone into."""
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


def _refuse_doubles(found: Sequence[Contender]) -> None:
    """Two rows that have one name, or that would run the same."""
    named: dict[str, Contender] = {}
    same: list[tuple[RunSpec, Contender]] = []
    for one in found:
        for _, run in one.runs:
            if (other := named.setdefault(run.name, one)) is not one:
                places = f"{other.path} and {one.path}" if other.path != one.path else str(one.path)
                raise BadSpec(f"{places}: two runs would be called {run.name!r}; give one spec or variant another name")
        plain = _resolved(one.spec)
        if twin := next((other for spec, other in same if spec == plain), None):
            raise BadSpec(
                f"{one.path}: {one.spec.name!r} runs the same as {twin.spec.name!r}: remove one, or change a key"
            )
        same.append((plain, one))


def _resolved(spec: RunSpec) -> RunSpec:
    """A spec as it runs: nameless, with the method's defaults where it is silent."""
    edit = spec.edit.model_copy(update=vars(spec.edit.options))
    return spec.model_copy(update={"name": "", "edit": edit})


def _told_apart(found: list[Contender]) -> list[Contender]:
    """Rows with labels of their own: two of one label get their specs' names behind it."""
    labels = [one.label for one in found]
    return [
        replace(one, label=f"{one.label} ({one.spec.name})") if labels.count(one.label) > 1 else one for one in found
    ]
