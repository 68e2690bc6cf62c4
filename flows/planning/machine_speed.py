"""This machine's speed, measured by a short matrix product, its memory and its disk."""

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

KINDS = ("cpu", "cuda", "mps", "xpu")
"""Types of device that compute."""
SIDE = 1024
"""Of the square matrices that are multiplied."""
SPAN = 0.2
"""Seconds that they are multiplied for."""
EFFICIENCY = 0.8
"""Share of that speed which a pass through a model reaches, beside all that is no product of matrices."""

DISK = 100e6
"""Bytes a second that are read and digested, or compressed and written."""


@dataclass(frozen=True)
class Machine:
    """Operations a second in the model's dtype on its device, and in float64 on the CPU; None where the device is not
    here. Bytes of memory that are available, and of disk that are free where the lake is."""

    model: float | None
    exact: float
    memory: int
    disk: int

    @classmethod
    def here(cls, lake: str, dtype: str, device: str) -> Machine:
        """Measured now."""
        import psutil  # type: ignore[import-untyped]

        check_name(device)
        disk = shutil.disk_usage(existing(Path(lake))).free
        exact = speed(torch.float64, "cpu")
        return cls(speed_or_none(DTYPES[dtype], device), exact, psutil.virtual_memory().available, disk)

    def seconds(self, size: StageCost) -> float | None:
        """Of what a stage computes, reads and writes."""
        if self.model is None:
            return None
        return (size.model / self.model + size.exact / self.exact) / EFFICIENCY + size.moved / DISK


def check_name(device: str) -> None:
    """Raise InvalidOption for what is the name of no device that holds values, whether or not one is here."""
    try:
        named = torch.device(device)
    except RuntimeError:
        raise InvalidOption(f"model.device = {device!r} names no device: write cpu, cuda or cuda:1") from None
    if named.type not in KINDS or (named.type == "cpu" and named.index):
        raise InvalidOption(f"model.device = {device!r} is none that computes: write cpu, cuda or cuda:1")
    if torch.cuda.is_available() and named.type == "cuda" and (named.index or 0) >= torch.cuda.device_count():
        raise InvalidOption(f"model.device = {device!r}: there are {torch.cuda.device_count()} here, counted from 0")


def speed_or_none(dtype: torch.dtype, device: str) -> float | None:
    """`speed`, or None if the device is not available."""
    try:
        return speed(dtype, device)
    except (RuntimeError, AssertionError):  # torch raises either for a device it was not built for
        return None


def speed(dtype: torch.dtype, device: str) -> float:
    """Operations a second of a product of square matrices."""
    a = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
    (a @ a).sum().item()  # the first one also starts threads, or a GPU
    count, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < SPAN:
        (a @ a)[0, 0].item()  # waits for a GPU
        count += 1
    return 2 * SIDE**3 * count / taken
