"""Temporary folders that killed processes left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

from editflow.tasks.sources.packaged_data import CORPUS, MODEL, cache
from editflow.tasks.temporary_folders import AbandonedFolder, find_abandoned


def temporary_places() -> list[Path]:
    """The folders where commands create temporary folders: the system's, and those of downloads and conversions."""
    return [Path(tempfile.gettempdir()), cache() / "converted", MODEL.path.parent, CORPUS.path.parent]


def left_behind() -> list[AbandonedFolder]:
    """Temporary folders of killed processes, with their sizes."""
    return find_abandoned(temporary_places())
