"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.completers import folders, run_names
from editflow.flows.spec.typed_settings import typed_settings

LakeFlag = Annotated[
    str | None,
    Parameter(env_var="EDITFLOW_LAKE", help="Where artifacts are kept (default: ./lake).", completer=folders),
]
SetFlag = Annotated[list[str] | None, Parameter(name="--set", negative=(), converter=typed_settings)]
RunName = Annotated[str, Parameter(completer=run_names)]
JsonFlag = Annotated[bool, Parameter(negative=(), help="Print JSON instead of a table.")]
Limit = Annotated[int, Parameter(help="Only so many of the newest; 0 for all.", validator=Number(gte=0))]
