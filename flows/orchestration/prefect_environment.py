"""Environment variables of Prefect and EditFlow, refused in one line where they are invalid."""

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
_LARGEST = 2**20
"""Bytes of a pyproject.toml that are read."""

QUIET = {
    # It must not phone home, nor may Prefect start a server of its own, which would have no password.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}
PATIENCE = 180
"""Seconds that a new server may take until it answers; a new database on a busy machine needs 30."""


def working_folder_is_gone() -> bool:
    """Whether the folder that the command was called in is deleted."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def check_working_folder() -> None:
    """Before torch is loaded, whose libraries end the process where the folder is deleted. Raises UsageError."""
    if working_folder_is_gone():
        raise UsageError(GONE)


def check_prefect() -> None:
    """Load Prefect with the settings of the environment, before anything else does. Raises UsageError.

    Files of the folder that the command runs in do not set it; one that would is named.
    """
    from pydantic import ValidationError

    for name in settings_here() if "prefect" not in sys.modules else ():
        if b"prefect" in Path(name).read_bytes()[:_LARGEST].lower():
            print_line(f"  [dim]{name} in this folder does not set Prefect here: use variables or a profile of it[/]")
    heard = StringIO()  # on wrong settings, Prefect's import prints traces and continues
    try:
        with redirect_stderr(heard), elsewhere():
            from prefect.settings.models.root import Settings

            Settings()
            import prefect.context  # noqa: F401 - reads its settings
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(_explained(".".join(map(str, first["loc"])), str(first["input"]), str(first["msg"]))) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Prefect's settings cannot be read ({first_line(error)}): see to its profile, `prefect config view`, and "
            "to the environment variables that begin with PREFECT_"
        ) from None
    sys.stderr.write(heard.getvalue())


@contextmanager
def elsewhere() -> Iterator[None]:
    """Be in the folder of this Python while Prefect reads its settings.

    It takes them from files of the folder that it is in, too. That may be a lake or a bundle of someone else, and a
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
    """The files of this folder from which Prefect would take settings, as far as a look can tell; rather one more."""
    for name in (".env", "prefect.toml", "pyproject.toml"):
        with suppress(OSError):
            if Path(name).is_file() and (name != "pyproject.toml" or _speaks_of_prefect(Path(name))):  # and no pipe
                yield name


def _speaks_of_prefect(path: Path) -> bool:
    with path.open("rb") as file:
        text = file.read(_LARGEST)
    try:
        return len(text) == _LARGEST or "prefect" in tomllib.loads(text.decode()).get("tool", {})
    except (ValueError, RecursionError, AttributeError):
        return True


def _explained(key: str, given: str, why: str) -> str:
    wanted = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}
    same = [name for name, value in wanted.items() if value.casefold() == given.casefold()]
    ending = [name for name in same or wanted if name.endswith(key.upper().replace(".", "_"))]
    named = next(iter([*ending, *same]), "")
    if not named:
        return f"Prefect's setting {key} is {given!r}: {why}; mend it, `prefect config view` shows where it stands"
    return f"{named} is {given!r}: {why}; set it right, or unset it"


def made_folder(path: Path, variable: str, environment: Mapping[str, str] = os.environ) -> Path:
    """A folder of ours, made unless it is there. Raises UsageError that names the variable which chooses it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, "it takes no files")
    except OSError as error:
        chosen = f"{variable} chooses it" if variable in environment else f"choose another one with {variable}"
        raise UsageError(f"the folder {path} cannot be used ({error.strerror}): {chosen}") from None
    return path
