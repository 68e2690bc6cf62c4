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
    """Print a script with which a shell completes commands, options and the names of runs.

    For the current session, run `source <(editflow completion bash)` or `editflow completion fish | source`. For all
    sessions, write the script to a file that the shell reads:
    bash: ~/.local/share/bash-completion/completions/editflow; zsh: _editflow in a folder of $fpath;
    fish: ~/.config/fish/completions/editflow.fish.

    Parameters
    ----------
    shell
        bash, zsh or fish (default: the shell that runs the command).
    """
    from editflow.flows.cli.common.app import app

    chosen = shell or detect_shell()
    sys.stdout.write(app.generate_completion(shell=chosen))
    if sys.stdout.isatty():  # otherwise the output goes to a file or a shell
        print_next(f"put this into {FILES[chosen]}: `editflow completion {chosen} > FILE`")


def detect_shell() -> Shell:
    """The shell that runs the command. Raises UsageError if it is unknown or has no script."""
    from cyclopts.completion import detect

    try:
        found = detect.detect_shell()
    except detect.ShellDetectionError:
        raise UsageError("the current shell is unknown: run `editflow completion bash`, zsh or fish") from None
    if found == "powershell":
        raise UsageError("there is no completion for PowerShell: run `editflow completion bash`, zsh or fish")
    return found
