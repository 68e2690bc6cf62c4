"""editflow completion"""

from __future__ import annotations

import sys
from typing import Literal

from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next

Shell = Literal["bash", "zsh", "fish"]
FILES = {
    "bash": "~/.local/share/bash-completion/completions/editflow",
    "zsh": "a folder of $fpath, as _editflow",
    "fish": "~/.config/fish/completions/editflow.fish",
}


def completion(shell: Shell | None = None, /) -> None:
    """Print the script that lets a shell complete commands, options, and the names of runs.

    For this session: `source <(editflow completion bash)`, or `editflow completion fish | source`. For all of them,
    put it where the shell looks: for bash ~/.local/share/bash-completion/completions/editflow, for zsh _editflow in a
    folder of $fpath, for fish ~/.config/fish/completions/editflow.fish.

    Parameters
    ----------
    shell
        bash, zsh or fish; the one in use unless given.
    """
    from editflow.flows.cli.common.app import app

    chosen = shell or in_use()
    sys.stdout.write(app.generate_completion(shell=chosen))
    if sys.stdout.isatty():  # in a start-up file a hint would be in the way
        print_next(f"put this into {FILES[chosen]}: `editflow completion {chosen} > FILE`")


def in_use() -> Shell:
    """The shell that the command was typed in. Raises UsageError for one that there is no script for."""
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        found = detect_shell()
    except ShellDetectionError:
        raise UsageError("the shell in use is not known: run `editflow completion bash`, zsh or fish") from None
    if found == "powershell":
        raise UsageError("there is no completion for PowerShell: run `editflow completion bash`, zsh or fish")
    return found
