"""Versions, machine and threads of a process, recorded with artifacts and runs; never part of an id."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

PACKAGES = (
    *("editflow", "torch", "transformers", "tokenizers", "gguf", "numpy", "scipy", "pyarrow", "prefect"),
    *("datasets", "mwparserfromhell"),  # they read the documents
)
NUMERIC_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "PYTORCH_CUDA_ALLOC_CONF"),
)
"""Environment variables that can change the last bits of a result."""
ROOT = Path(__file__).parents[2]


def environment(device: str = "cpu") -> dict[str, str | int]:
    """Versions, machine, threads and device of this process, recorded with every artifact."""
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
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(recorded: Mapping[str, object]) -> int:
    """The number of threads in a recorded environment, at most the cores of this machine.

    Returns the current number for a record without a valid one: records may come from other machines, and torch
    starts as many threads as it is asked for.
    """
    import torch

    current, count = torch.get_num_threads(), recorded.get("threads")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        return current
    return min(count, max(current, cores()))


def run_environment(device: str = "cpu") -> dict[str, str | int]:
    """`environment` plus the fields of a run's record. Unknown values are left out.

    `commit` of the code, with "-dirty" if files were changed; `constraints`, the SHA-256 of the code's lock file;
    `installed`, the SHA-256 of the names and versions of all packages; `processor`, the instruction set that torch
    uses; `accelerator`, the name of the GPU; and those of NUMERIC_VARIABLES that are set.
    """
    import torch

    on_gpu = device.partition(":")[0] == "cuda" and torch.cuda.is_available()
    return {
        **environment(device),
        **_code_and_packages(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        **({"accelerator": torch.cuda.get_device_name(device)} if on_gpu else {}),
        **{name: os.environ[name] for name in NUMERIC_VARIABLES if name in os.environ},
    }


@cache
def _versions() -> dict[str, str]:
    """Versions of PACKAGES. Cached: reading them takes longer than many small stages."""
    return {name: version(name) for name in PACKAGES}


@cache
def _code_and_packages() -> dict[str, str]:
    """Commit, lock file and installed packages, as of the first call in this process."""
    lock, commit = ROOT / "constraints.txt", commit_of(ROOT)
    is_ours = lock.is_file() and (ROOT / "pyproject.toml").is_file()  # else it is the lock file of another project
    installed = sorted({f"{package.name}=={package.version}" for package in distributions()})
    return {
        **({"commit": commit} if commit else {}),
        **({"constraints": _sha256(lock.read_bytes())} if is_ours else {}),
        "installed": _sha256("\n".join(installed).encode()),
    }


def commit_of(root: Path) -> str:
    """The commit of a git checkout, with "-dirty" if tracked files were changed; empty if there is none.

    A subfolder of a repository does not count as a checkout.
    """
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    command = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (a fixed command)
    return done.stdout.strip() if done.returncode == 0 else ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
