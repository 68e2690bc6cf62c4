"""Checks of Python, the packages and torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from editflow.editing.errors import first_line
from editflow.flows.cli.doctor.finding import Finding, Place, ok, problem, warning
from editflow.flows.console.output import counted
from editflow.flows.orchestration.prefect_environment import working_folder_is_gone
from editflow.tasks.environment import PACKAGES

NAME = "editflow"
INSTALL = "install it again: `make` in the repository, or `pip install --constraint constraints.txt .`"


def python(_place: Place) -> Iterator[Finding]:
    """Whether the Python version is in the range that EditFlow declares."""
    found = (
        f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()} {platform.machine()})"
    )
    try:
        declared = metadata(NAME).json
    except PackageNotFoundError:
        yield problem("installation", f"{NAME} is not installed as a package", INSTALL)
        return
    wanted = SpecifierSet(str(declared.get("requires_python", "")))
    yield ok("installation", f"{NAME} {version(NAME)}")
    if wanted.contains(platform.python_version(), prereleases=True):
        yield ok("python", found)
    else:
        yield problem("python", f"{found}, but {NAME} needs {wanted}", "create the environment with another Python")


def packages(_place: Place) -> Iterator[Finding]:
    """Whether every required package is installed in its range."""
    try:
        wanted = [Requirement(text) for text in requires(NAME) or ()]
    except PackageNotFoundError:
        return  # reported by `python`
    valid = []
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if fault := _package_fault(requirement):
            yield problem("packages", fault, f"`pip install '{requirement}'`")
        else:
            valid.append(requirement.name)
    shown = [f"{name} {version(name)}" for name in valid if name in PACKAGES]
    yield ok("packages", f"{len(valid)} in their ranges, among them {', '.join(shown)}")


def _package_fault(requirement: Requirement) -> str:
    """What is wrong with an installed package; empty if nothing is."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} {found} is out of range ({requirement.specifier})"


def torch_build(_place: Place) -> Iterator[Finding]:
    """Whether torch can be loaded; its build, devices and threads."""
    if working_folder_is_gone():  # torch's libraries would end the process
        yield problem("torch", "was not loaded: the working folder does not exist", "change to a folder that exists")
        return
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        yield problem("torch", f"cannot be loaded: {first_line(error)}", "install torch again for this machine")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    devices = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    device_list = f", devices {', '.join(devices)}" if devices else ""
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    found = f"{torch.__version__}, {build}{device_list}, {counted(threads, 'thread')} on {cores} cores"
    if threads > cores:
        yield warning("torch", found, "more threads than cores are slow: lower OMP_NUM_THREADS or `threads`")
    else:
        yield ok("torch", found)
