"""Sets and checks the environment variables of Prefect and EditFlow."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from io import StringIO
from pathlib import Path

from editflow.editing.errors import first_line
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line

GONE = "the working folder is gone: change to one that exists and run it again"
_MAX_BYTES = 2**20
"""Bytes of a pyproject.toml that are read."""

QUIET = {
    # No telemetry, and no server started by Prefect, which would have no password.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}
PATIENCE = 180
"""Seconds to wait for a new server; with a new database on a busy machine it needs 30."""


def working_folder_is_gone() -> bool:
    """Whether the working folder was deleted."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def check_working_folder() -> None:
    """Raise UsageError if the working folder was deleted: loading torch would then end the process."""
    if working_folder_is_gone():
        raise UsageError(GONE)


def check_prefect() -> None:
    """Import Prefect with the settings of the environment. Raises UsageError for invalid ones.

    Settings files in the working folder are ignored; a notice names them.
    """
    from pydantic import ValidationError

    for name in settings_here() if "prefect" not in sys.modules else ():
        if b"prefect" in Path(name).read_bytes()[:_MAX_BYTES].lower():
            print_line(f"  [dim]{name} in this folder is ignored: set Prefect by environment variables or a profile[/]")
    errors = StringIO()  # on wrong settings, Prefect's import prints traces and continues
    try:
        with redirect_stderr(errors), elsewhere():
            from prefect.settings.models.root import Settings

            Settings()
            import prefect.context  # noqa: F401 - reads its settings
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(_explain(".".join(map(str, first["loc"])), str(first["input"]), str(first["msg"]))) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Prefect's settings cannot be read ({first_line(error)}): check its profile (`prefect config view`) and "
            "the environment variables that begin with PREFECT_"
        ) from None
    sys.stderr.write(errors.getvalue())


@contextmanager
def elsewhere() -> Iterator[None]:
    """Change to Python's folder while Prefect reads its settings.

    Prefect also reads settings files in the working folder. That may be a lake or bundle from somebody else, and a
    setting can name code to run, such as a logging configuration.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the folder is gone, and so are its files
        yield
        return
    os.chdir(sys.prefix)
    try:
        yield
    finally:
        os.chdir(here)


def settings_here() -> Iterator[str]:
    """Files of this folder from which Prefect would read settings; in doubt, included."""
    for name in (".env", "prefect.toml", "pyproject.toml"):
        with suppress(OSError):
            if Path(name).is_file() and (name != "pyproject.toml" or _configures_prefect(Path(name))):  # not a pipe
                yield name


def _configures_prefect(path: Path) -> bool:
    with path.open("rb") as file:
        text = file.read(_MAX_BYTES)
    try:
        return len(text) == _MAX_BYTES or "prefect" in tomllib.loads(text.decode()).get("tool", {})
    except (ValueError, RecursionError, AttributeError):
        return True


def _explain(key: str, given: str, why: str) -> str:
    wanted = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}
    same = [name for name, value in wanted.items() if value.casefold() == given.casefold()]
    ending = [name for name in same or wanted if name.endswith(key.upper().replace(".", "_"))]
    named = next(iter([*ending, *same]), "")
    if not named:
        return f"Prefect's setting {key} is {given!r}: {why}; correct it; `prefect config view` shows where it is set"
    return f"{named} is {given!r}: {why}; correct it, or unset it"


def made_folder(path: Path, variable: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Create a folder unless it exists. Raises UsageError that names its environment variable."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, "it is not writable")
    except OSError as error:
        chosen = f"{variable} chooses it" if variable in environment else f"choose another one with {variable}"
        raise UsageError(f"the folder {path} cannot be used ({error.strerror}): {chosen}") from None
    return path
