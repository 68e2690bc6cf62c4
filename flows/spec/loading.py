"""Load specs from TOML files."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from editflow.flows.console.errors import BadSpec
from editflow.flows.console.input_files import read_small
from editflow.flows.spec.old_names import accept_old_names
from editflow.flows.spec.overrides import apply_all
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_validation import check_spec
from editflow.flows.spec.toml_text import RawSpec, read_toml_text
from editflow.storage.address import Address, wrap_addresses
from editflow.storage.records.refs import check_name


def load_spec(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """Read a spec file and apply `key.path=value` settings. Raises BadSpec with one line that names the key.

    A relative request file is looked up beside the spec first, then in the working folder.
    """
    return run_spec(read_toml(path), path, settings)


def run_spec(raw: RawSpec, path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """`load_spec` for a file that is already read; changes `raw`."""
    spec = shared_spec(raw, path, settings)
    if spec.requests.queue is not None:
        raise BadSpec(f"{path}: requests.source = {spec.requests.source!r} is a queue: run `editflow apply`")
    return spec


def load_queue_spec(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """`load_spec` for a spec whose requests come from a queue."""
    spec = load_shared_spec(path, settings)
    if spec.requests.queue is None:
        remedy = 'write requests.source = "queue:current", or run `editflow run`'
        raise BadSpec(f"{path}: its requests come from {spec.requests.source!r}, which is not a queue: {remedy}")
    try:
        check_name(spec.requests.queue)
    except ValueError as error:
        raise BadSpec(f"{path}: requests.source: {error}") from None
    keys = ("count", "exclude_probes", "order", "dataset", "references", "withdrawn")
    unused = [key for key in keys if getattr(spec.requests, key)]
    if unused or spec.seeds:
        key = "seeds" if spec.seeds else f"requests.{unused[0]}"
        raise BadSpec(f"{path}: {key} does not apply to a queue: remove it")
    return spec


def load_shared_spec(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """`load_spec` for any source of requests."""
    return shared_spec(read_toml(path), path, settings)


def shared_spec(raw: RawSpec, path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """`load_shared_spec` for a file that is already read; changes `raw`."""
    apply_all(raw, settings)
    if raw.get("variants"):
        raise BadSpec(f"{path} has variants, which are for comparing: run `editflow compare`, or remove [[variants]]")
    return with_local_files(check_spec(raw, str(path)), path.parent)


def read_toml(path: Path) -> RawSpec:
    """The raw content of a spec file under the current names of keys, not validated. Raises BadSpec with one line."""
    try:
        return accept_old_names(wrap_addresses(read_toml_text(read_small(path, BadSpec))), str(path))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.toml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else "; the specs to start from are in specs/"
        raise BadSpec(f"no spec {path}{hint}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadSpec(f"{path} is not a TOML file: {why}") from None


def with_local_files(spec: RunSpec, folder: Path) -> RunSpec:
    """The spec with the paths of its request files; files in `folder` take precedence."""
    requests = spec.requests
    given = {"source": requests.source, "references": requests.references}
    found = {name: Address(_beside(folder, value)) for name, value in given.items() if value is not None}
    return spec.model_copy(update={"requests": requests.model_copy(update=found)})


def is_address(source: str) -> bool:
    """Whether the form of a source shows that it is not a local file."""
    return "://" in source or source.startswith(("hub:", "queue:", "data:"))


def _beside(folder: Path, source: Address) -> str:
    """The file beside the spec if it exists, else the given source."""
    given = source.full
    if is_address(source) and not os.path.isfile(folder / given):  # noqa: PTH113 - never raises, whatever the text
        return source
    with suppress(RuntimeError):  # no such user
        given = str(Path(given).expanduser())
    beside = folder / given
    return str(beside) if beside.is_file() else given
