"""Opens the Delta tables of the index, which may come from an untrusted source.

Delta reads every file of a table's log, the log names Parquet files by path or URL, and vacuum walks the folder and
follows links. Therefore a table is opened only if its folder contains nothing but plain files and its log, and only
files directly in that folder are accepted as its own.
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
REMEDY = "`editflow verify --rebuild` writes the index again"
_FILE = re.compile(r"[A-Za-z0-9][\w.=-]*\.parquet", re.ASCII)


def open_table(files: Files, table: str) -> DeltaTable:
    """The table in a folder of the lake. Raises DeltaError, and ForeignFile.

    Cost: that of Delta, and a listing of the folder and its log.
    """
    from deltalake import DeltaTable

    if files.local:
        check_folder(files, table)
    return DeltaTable(files.folder_path(table))


def check_folder(files: Files, table: str) -> None:
    """Raise ForeignFile unless a table's folder contains only its log and files, or links to files inside the lake."""
    for folder in (table, f"{table}/{LOG}"):
        try:
            with os.scandir(files.folder_path(folder)) as entries:
                for entry in entries:
                    if not entry.is_file(follow_symlinks=False):
                        _check_entry(files, folder, entry)
        except (FileNotFoundError, NotADirectoryError):
            continue


def own_files(files: Files, table: str, delta: DeltaTable) -> list[str]:
    """The paths of the Parquet files of an open table. Raises ForeignFile if one is not in the table's folder."""
    folder = files.folder_path(table)
    prefix = f"{os.path.realpath(folder) if files.local else folder}/"  # Delta resolves links, and percent-encodes
    names = [unquote(uri).removeprefix(prefix) for uri in delta.file_uris()]
    for name in names:
        if not _FILE.fullmatch(name):
            raise ForeignFile(f"{folder}/{LOG}", f"a log that names {name!r}, which is not a file of its table", REMEDY)
    return [f"{folder}/{name}" for name in names]


def _check_entry(files: Files, folder: str, entry: os.DirEntry[str]) -> None:
    """Raise ForeignFile unless Delta or the lake may have created the entry."""
    if entry.is_symlink():
        containment.regular_file(files.root, f"{folder}/{entry.name}", files.allowed_roots)
    elif not entry.is_dir(follow_symlinks=False):
        raise containment.foreign_file(entry.path, entry.stat(follow_symlinks=False).st_mode)
    elif entry.name != LOG and not entry.name.startswith((".tmp-", "_")):
        raise ForeignFile(entry.path, "a folder among the files of the index", "remove it")
