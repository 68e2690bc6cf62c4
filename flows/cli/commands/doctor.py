"""editflow doctor"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.console.next_steps import print_next, typed
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
    """Check the installation, the cache, the lake and the machine, and say what to do about what is wrong.

    Nothing is changed. The exit code is 0 unless a problem is found, which is 1; a warning is none.
    """
    from dataclasses import asdict

    from editflow.flows.cli.doctor.finding import Place

    place = Place(lake_folder(lake), deep)
    found = [finding for check in checks() for finding in answered(check, place)]
    problems = [finding for finding in found if finding.verdict == "problem"]
    if json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table([asdict(finding) for finding in found], styles=STYLES)
        worst = problems or [finding for finding in found if finding.verdict == "warning"]
        print_next(worst[0].remedy if worst else f"{typed('runs', lake=lake)} for what was run")
    return 1 if problems else 0


def checks() -> tuple[Callable[[Place], Iterator[Finding]], ...]:
    """All checks, in the order of their telling."""
    from editflow.flows.cli.doctor import cache, installation, machine, servers
    from editflow.flows.cli.doctor import lake as archive

    return (
        *(installation.python, installation.packages, installation.torch_build),
        *(servers.prefect, servers.home),
        *(cache.cache_folder, cache.temporary, cache.corpus, cache.model),
        archive.lake,
        *(machine.disk, machine.memory),
    )


def answered(check: Callable[[Place], Iterator[Finding]], place: Place) -> Iterator[Finding]:
    """What a check finds; a file or package that cannot be read is a finding too, and hides no other check."""
    from editflow.flows.cli.doctor.finding import problem
    from editflow.flows.cli.doctor.installation import INSTALL
    from editflow.storage.errors import StorageError

    try:
        yield from check(place)
    except ImportError as error:
        yield problem(check.__name__, f"could not be checked: {error}", INSTALL)
    except (OSError, StorageError) as error:
        where = getattr(error, "filename", None)
        why = getattr(error, "strerror", None) or str(error)
        yield problem(check.__name__, f"{where}: {why}" if where else why, "see to the file's permissions and the disk")
