"""Files that a command writes where it is told to, and the browser that they may be opened in."""

from __future__ import annotations

import re
from pathlib import Path

from flows.errors import UsageError


def target(given: Path | None, name: str, ending: str, what: str, flag: str = "--out") -> Path:
    """The file to write: the one given, or one in this folder named after something. Raises UsageError."""
    # A lake may come from anywhere, and with it a name that leads out of this folder.
    path = given or Path(re.sub(r"[^\w-]+", "-", name)[:64] + ending)
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write the {what} to: make it, or give another {flag}")
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder: give a file, such as {path / f'{what}{Path(ending).suffix}'}")
    return path


def write(path: Path, content: bytes, flag: str = "--out") -> None:
    """Write a file, whole or not at all. Raises UsageError."""
    from storage.files import Files

    try:
        Files(path.parent).put(path.name, content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): give another {flag}") from None


def show_in_browser(path: Path) -> None:
    """Open a page. Raises UsageError where there is no browser."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        raise UsageError(f"no browser to open {path} with: copy it to where there is one")
