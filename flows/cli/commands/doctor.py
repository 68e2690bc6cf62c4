"""editflow doctor"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import lake_folder, print_json, print_table

if TYPE_CHECKING:
    from editflow.flows.cli.doctor.finding import Finding, Place

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    *,
    deep: Annotated[bool, Parameter(negative=(), help="Read every byte of every artifact.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> int:
    """Check the installation, the cache, the lake and the machine, and print a remedy for each problem.

    Nothing is changed. The exit code is 1 if there is a problem, else 0; warnings do not count.
    """
    from dataclasses import asdict

    from editflow.flows.cli.doctor.finding import Place

    place = Place(lake_folder(lake), deep)
    findings = [finding for check in checks() for finding in run_check(check, place)]
    problems = [finding for finding in findings if finding.verdict == "problem"]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table([asdict(finding) for finding in findings], styles=STYLES)
        worst = problems or [finding for finding in findings if finding.verdict == "warning"]
        print_next(worst[0].remedy if worst else f"{shell_command('runs', lake=lake)} for the runs of the lake")
    return 1 if problems else 0


def checks() -> tuple[Callable[[Place], Iterator[Finding]], ...]:
    """All checks, in the order in which they are printed."""
    from editflow.flows.cli.doctor import cache, installation, lake, machine, servers

    return (
        *(installation.python, installation.packages, installation.torch_build),
        *(servers.prefect, servers.home),
        *(cache.cache_folder, cache.temporary, cache.corpus, cache.model),
        lake.lake,
        *(machine.disk, machine.memory),
    )


def run_check(check: Callable[[Place], Iterator[Finding]], place: Place) -> Iterator[Finding]:
    """The findings of a check. A file or package that cannot be read is a finding too, so other checks still run."""
    from editflow.flows.cli.doctor.finding import problem
    from editflow.flows.cli.doctor.installation import INSTALL
    from editflow.storage.errors import StorageError

    try:
        yield from check(place)
    except ImportError as error:
        yield problem(check.__name__, f"could not be checked: {error}", INSTALL)
    except (OSError, StorageError) as error:
        path = getattr(error, "filename", None)
        reason = getattr(error, "strerror", None) or str(error)
        yield problem(
            check.__name__, f"{path}: {reason}" if path else reason, "check the file's permissions and the disk"
        )
