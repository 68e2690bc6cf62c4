"""What an artifact was made with: recorded beside it, never part of its identity."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from typing import Any

PACKAGES = (
    *("editflow", "torch", "transformers", "tokenizers", "gguf", "numpy", "scipy", "pyarrow", "prefect"),
    *("datasets", "mwparserfromhell"),  # the documents' texts come from them
)


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions, machine, threads and device of this process."""
    import torch

    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "device": device,
        **_versions(),
    }


@cache
def _versions() -> dict[str, str]:
    """Read once: it takes longer than many a small stage."""
    return {name: version(name) for name in PACKAGES}
