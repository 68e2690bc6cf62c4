"""Records over http from a local server: every format, removal of the copy, and faulty servers."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from editflow.storage.address import Address
from editflow.tasks.errors import BadRecord, UnknownSource
from editflow.tasks.sources.records import read_records

pytestmark = pytest.mark.slow

ROWS = [{"name": f"é{n}", "n": n} for n in range(3)]


class Server(SimpleHTTPRequestHandler):
    """Files of a folder; `moved` redirects, and `cut` sends less than its Content-Length."""

    def do_GET(self) -> None:
        if self.path == "/moved.jsonl":
            self.send_response(302)
            self.send_header("Location", "/rows.jsonl")
            self.end_headers()
        elif self.path == "/cut.jsonl":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"name": 1}\n')
        else:
            super().do_GET()

    def log_message(self, *_words: object) -> None:
        """Print nothing."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with the rows in every format. Copies are created in `tmp_path / copies`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    folder = tmp_path / "served"
    folder.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (folder / "rows.jsonl").write_bytes(lines)
    (folder / "rows").write_bytes(lines)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(lines))
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "rows.csv").write_text("name,n\n" + "".join(f"{row['name']},{row['n']}\n" for row in ROWS), "utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "name",
    ["rows.jsonl", "rows", "rows.jsonl.gz", "rows.json", "rows.csv", "rows.parquet?download=true", "moved.jsonl"],
)
def test_every_format_is_read_and_its_copy_removed(address: str, tmp_path: Path, name: str) -> None:
    source = f"{address}/{name}"
    found = list(read_records(source))
    assert [{**record, "n": int(record["n"])} for _, record in found] == ROWS
    assert all(where.startswith(Address(source)) for where, _ in found)  # without the values of a query
    assert not list((tmp_path / "copies").iterdir())
    rows = read_records(source)
    next(rows)
    assert list((tmp_path / "copies").iterdir())  # it exists meanwhile
    rows.close()
    assert not list((tmp_path / "copies").iterdir())


def test_the_error_for_a_failed_download_is_one_line(address: str, tmp_path: Path) -> None:
    for source, why in (
        (f"{address}/nowhere.jsonl", "404"),
        (f"{address}/cut.jsonl", "12 bytes read"),
        ("http://127.0.0.1:1/rows.jsonl", "refused"),
        ("https://", "no host"),
    ):
        with pytest.raises(UnknownSource, match=rf"^no file {source} \([^\n]*{why}[^\n]*\): give a path, a URL"):
            list(read_records(source))
    assert not list((tmp_path / "copies").iterdir())


def test_the_error_for_a_broken_remote_file_names_its_address(address: str, tmp_path: Path) -> None:
    (tmp_path / "served" / "rows.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(BadRecord, match=rf"^{address}/rows.parquet: not Parquet \([^\n]+\); fetch it again$"):
        list(read_records(f"{address}/rows.parquet"))


def test_fsspec_file_systems_are_supported() -> None:
    fsspec.filesystem("memory").pipe("/rows.jsonl", json.dumps(ROWS[0]).encode())
    assert list(read_records("memory://rows.jsonl")) == [("memory://rows.jsonl, line 1", ROWS[0])]
    with pytest.raises(UnknownSource, match=r"^no file memory://nowhere.jsonl: give"):
        list(read_records("memory://nowhere.jsonl"))
