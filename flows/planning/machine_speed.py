"""The speed of this machine, measured with a matrix product, and its free memory and disk."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from editflow.editing.errors import InvalidOption
from editflow.editing.models.loading import DTYPES
from editflow.flows.console.output_files import existing
from editflow.flows.planning.workload import StageCost

DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")
"""Types of devices that can compute."""
SIDE = 1024
"""Width of the square matrices in the measurement."""
MEASURED_SECONDS = 0.2
"""Duration of the measurement."""
EFFICIENCY = 0.8
"""Share of that speed that a forward pass reaches, since not all of it is matrix products."""

DISK_SPEED = 100e6
"""Bytes per second that are read and hashed, or compressed and written."""


@dataclass(frozen=True)
class Machine:
    """Operations per second in the model's dtype on its device (None if it is not available) and in float64 on the CPU;
    free bytes of memory, and of the lake's disk."""

    model: float | None
    exact: float
    memory: int
    disk: int

    @classmethod
    def here(cls, lake: str, dtype: str, device: str) -> Machine:
        """Measure this machine. Raises InvalidOption for an invalid device."""
        import psutil  # type: ignore[import-untyped]

        check_name(device)
        disk = shutil.disk_usage(existing(Path(lake))).free
        exact = speed(torch.float64, "cpu")
        return cls(speed_or_none(DTYPES[dtype], device), exact, psutil.virtual_memory().available, disk)

    def seconds(self, size: StageCost) -> float | None:
        """The seconds that a stage takes; None if the device is not available."""
        if self.model is None:
            return None
        return (size.model / self.model + size.exact / self.exact) / EFFICIENCY + size.moved / DISK_SPEED


def check_name(device: str) -> None:
    """Raise InvalidOption for a name that is not a computing device; a valid one may be unavailable here."""
    try:
        named = torch.device(device)
    except RuntimeError:
        raise InvalidOption(f"model.device = {device!r} is not a device: write cpu, cuda or cuda:1") from None
    if named.type not in DEVICE_TYPES or (named.type == "cpu" and named.index):
        raise InvalidOption(f"model.device = {device!r} cannot compute: write cpu, cuda or cuda:1")
    if torch.cuda.is_available() and named.type == "cuda" and (named.index or 0) >= torch.cuda.device_count():
        raise InvalidOption(f"model.device = {device!r}: this machine has {torch.cuda.device_count()}, counted from 0")


def speed_or_none(dtype: torch.dtype, device: str) -> float | None:
    """`speed`, or None if the device is not available."""
    try:
        return speed(dtype, device)
    except (RuntimeError, AssertionError):  # torch raises either for a device it was not built for
        return None


def speed(dtype: torch.dtype, device: str) -> float:
    """Operations per second of a product of square matrices."""
    a = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
    (a @ a).sum().item()  # warm up: starts threads or the GPU
    count, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < MEASURED_SECONDS:
        (a @ a)[0, 0].item()  # waits for the GPU
        count += 1
    return 2 * SIDE**3 * count / taken
