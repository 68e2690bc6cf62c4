"""Options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.completers import folders, run_names
from editflow.flows.spec.typed_settings import typed_settings

LakeFlag = Annotated[
    str | None,
    Parameter(env_var="EDITFLOW_LAKE", help="The folder of the lake (default: ./lake).", completer=folders),
]
SetFlag = Annotated[
    list[str] | None,
    Parameter(
        name="--set",
        negative=(),
        converter=typed_settings,
        help="Override a key of the spec, such as --set model.device=cuda; may be repeated.",
    ),
]
JsonFlag = Annotated[bool, Parameter(negative=(), help="Print the result as JSON.")]
OpenFlag = Annotated[bool, Parameter(name="--open", negative=(), help="Open the page in the browser.")]
RunName = Annotated[str, Parameter(completer=run_names)]
AnyRun = Annotated[
    RunName, Parameter(help="A run's id or a unique prefix of it, the name of a spec (its latest run), or `last`.")
]
CompletedRun = Annotated[
    RunName,
    Parameter(help="A run's id or a unique prefix of it, the name of a spec (its latest completed run), or `last`."),
]
