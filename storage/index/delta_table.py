"""Opens the Delta tables of the index, which can come from strangers.

Delta reads every file of a table's log, its log names Parquet files by paths or URLs, and what it clears away it finds
by walking the folder, through links, too. So a table is opened only where its folder holds plain files and its log, and
only files that lie in that folder itself count as its own.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from editflow.storage import containment
from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files

if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG = "_delta_log"
_FILE = re.compile(r"[A-Za-z0-9][\w.=-]*\.parquet", re.ASCII)


def open_table(files: Files, table: str) -> DeltaTable:
    """The table in a folder of the lake. Raises what Delta does, and ForeignFile.

    Cost: beside Delta's own, a listing of the folder and of its log.
    """
    from deltalake import DeltaTable

    if files.local:
        check_folder(files, table)
    return DeltaTable(files.folder_path(table))


def check_folder(files: Files, table: str) -> None:
    """Raise ForeignFile unless a table's folder holds plain files, or links to such inside the lake, and its log."""
    for folder in (table, f"{table}/{LOG}"):
        try:
            with os.scandir(files.folder_path(folder)) as entries:
                for entry in entries:
                    if not entry.is_file(follow_symlinks=False):
                        _check_entry(files, folder, entry)
        except (FileNotFoundError, NotADirectoryError):
            continue


def own_files(files: Files, table: str, opened: DeltaTable) -> list[str]:
    """The paths of the Parquet files that an opened table names. Raises ForeignFile where one is not in its folder."""
    folder = files.folder_path(table)
    place = f"{os.path.realpath(folder) if files.local else folder}/"  # so Delta calls it, and percent-encoded
    names = [unquote(uri).removeprefix(place) for uri in opened.file_uris()]
    for name in names:
        if not _FILE.fullmatch(name):
            raise ForeignFile(f"{folder}/{LOG}", f"a log that names {name!r}, no file of its table", REMEDY)
    return [f"{folder}/{name}" for name in names]


REMEDY = "`editflow verify --rebuild` writes the index again"


def _check_entry(files: Files, folder: str, entry: os.DirEntry[str]) -> None:
    """Accept what Delta and this lake write themselves."""
    if entry.is_symlink():
        containment.regular_file(files.root, f"{folder}/{entry.name}", files.allowed_roots)
    elif not entry.is_dir(follow_symlinks=False):
        raise containment.foreign_file(entry.path, entry.stat(follow_symlinks=False).st_mode)
    elif entry.name != LOG and not entry.name.startswith((".tmp-", "_")):
        raise ForeignFile(entry.path, "a folder among the files of the index", "remove it")
