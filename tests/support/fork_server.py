"""A process that has imported all packages and forks a command for each order on its input.

An order is one line `{"words": […], "folder": …, "output": …}`. The process prints the child's id at once and its
exit status when it has ended. A child has its own session and runs `editflow WORDS`, without the time to import.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "duckdb",
    "deltalake",
    "pyarrow.dataset",
    "prefect",
    "editflow.flows.edit_model",
    "editflow.flows.apply",
    "editflow.flows.rerun",
    "editflow.flows.compare",
    "editflow.flows.tuning.tune",
    "editflow.flows.clean",
    "editflow.flows.repair.repair",
    "editflow.flows.repair.verify",
)  # fmt: skip


def main() -> None:
    sys.path[:0] = [str(Path(__file__).parents[2])]
    from editflow.flows.cli.main import main as command
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    for name in HEAVY:
        import_module(name)
    threads = len(list(Path("/proc/self/task").iterdir()))
    print(threads, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _begin(order)
            command(order["words"])
            sys.exit(0)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _begin(order: dict[str, str]) -> None:
    import random
    import tempfile

    os.setsid()
    os.chdir(order["folder"])
    out = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in ((0, nothing), (1, out), (2, out)):
        os.dup2(file, number)
    os.environ["TMPDIR"] = tempfile.tempdir = str(Path(order["folder"], "tmp"))
    random.seed()


if __name__ == "__main__":
    main()
