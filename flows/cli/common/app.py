"""The application with which commands are registered; it imports none of them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

from cyclopts import App, Parameter

from editflow.flows.cli.common import error_border
from editflow.tasks.console.terminal import console

app = App(
    name="editflow",
    help="Edit facts inside a language model, batch after batch, as a cached, reproducible pipeline.",
    version=lambda: version("editflow"),
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,  # error_border reports it
)
app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def launch(
    *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(negative=(), help="Also print the traceback of an error.")] = False,
) -> Any:
    """Handle the options that every command has, then run the command."""
    error_border.debug.set(debug)
    return app(words, console=console(), error_console=console(stderr=True))
