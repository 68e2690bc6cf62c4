"""Versions, machine and threads that an artifact or run was made with: recorded, never part of an identity."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("editflow", "torch", "transformers", "tokenizers", "gguf", "numpy", "scipy", "pyarrow", "prefect"),
    *("datasets", "mwparserfromhell"),  # the documents' texts come from them
)
FELT = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "PYTORCH_CUDA_ALLOC_CONF"),
)
"""Environment variables that move the last bits."""
ROOT = Path(__file__).parents[2]


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions, machine, threads and device of this process, recorded beside every artifact."""
    import torch

    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "device": device,
        **_versions(),
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(recorded: Mapping[str, Any]) -> int:
    """The number of threads of a recorded environment, within what this machine has; the present one where it is none.

    A record may come from anywhere, and torch takes no number below 1 and makes as many threads as it is asked for.
    """
    import torch

    present, found = torch.get_num_threads(), recorded.get("threads")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        return present
    return min(found, max(present, cores()))


def whole_environment(device: str = "cpu") -> dict[str, Any]:
    """`environment` with all that a run's record adds; what is not known of it is left out.

    `commit` of the code, "-dirty" where files were changed; `constraints`, the SHA-256 of the lock file beside the
    code; `installed`, that of the names and versions of all packages; `processor`, the instructions that torch uses;
    `accelerator`, the device's name; and the variables of FELT that are set.
    """
    import torch

    named = device.partition(":")[0] == "cuda" and torch.cuda.is_available()
    return {
        **environment(device),
        **_origin(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        **({"accelerator": torch.cuda.get_device_name(device)} if named else {}),
        **{name: os.environ[name] for name in FELT if name in os.environ},
    }


@cache
def _versions() -> dict[str, str]:
    """Read once: it takes longer than many a small stage."""
    return {name: version(name) for name in PACKAGES}


@cache
def _origin() -> dict[str, str]:
    """Code, lock file and packages: as they were when this process first asked."""
    lock, commit = ROOT / "constraints.txt", commit_of(ROOT)
    beside = lock.is_file() and (ROOT / "pyproject.toml").is_file()  # else it belongs to another project
    return {
        **({"commit": commit} if commit else {}),
        **({"constraints": _digest(lock.read_bytes())} if beside else {}),
        "installed": _digest("\n".join(sorted(set(_installed()))).encode()),
    }


def commit_of(root: Path) -> str:
    """The commit of a checkout, with "-dirty" behind it where tracked files were changed; empty where there is none.

    A folder inside another repository is no checkout of ours.
    """
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    command = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return done.stdout.strip() if done.returncode == 0 else ""


def _installed() -> Iterator[str]:
    for package in distributions():
        yield f"{package.name}=={package.version}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
