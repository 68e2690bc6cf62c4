"""Downloads have limits on size, time and redirects, and leave no copy behind."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.web_server import Served, served

from editflow.storage.address import Address
from editflow.tasks.errors import FetchFailed, TaskError, UnknownSource
from editflow.tasks.sources import download, download_limits
from editflow.tasks.sources.records import read_records
from editflow.tasks.sources.remote_files import needs_network

ROWS = [{"n": n} for n in range(3)]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server; copies go to `tmp_path / copies`, which must be empty at the end of every test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    for name in ("copies", "served"):
        (tmp_path / name).mkdir()
    (tmp_path / "served" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with served(tmp_path / "served") as server:
        yield server
    assert not list((tmp_path / "copies").iterdir())


def read(source: str) -> list[object]:
    return [record for _, record in read_records(source)]


def test_a_download_that_is_too_large_is_refused(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download_limits.SIZE, "1")
    for name in (f"claims?bytes={2**20 + 1}", "endless"):
        with pytest.raises(UnknownSource, match="more than 1 MiB"):
            read(f"http://{web.host}/{name}")
    assert read(f"http://{web.host}/rows.jsonl") == ROWS  # control


@pytest.mark.parametrize("name", ["drip", "drip-headers"])
def test_a_download_that_takes_too_long_is_refused(web: Served, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(download_limits.SECONDS, "1")
    with pytest.raises(UnknownSource, match=f"takes more than 1 s.*{download_limits.SECONDS}"):
        read(f"http://{web.host}/{name}")


@pytest.mark.parametrize("name", ["drip", "drip-rows"])
def test_a_server_that_stays_slow_is_refused(web: Served, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the body has no length, so that a cut connection looks like its end, and each line is a record."""
    with monkeypatch.context() as patch:
        patch.setattr(download_limits, "GRACE_SECONDS", 0.5)
        patch.setattr(download_limits, "MIN_SPEED", 2**20)
        with pytest.raises(UnknownSource, match="bytes per second"):
            read(f"http://{web.host}/{name}")
    assert read(f"http://{web.host}/rows.jsonl") == ROWS  # control


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "many", "1e3", " ", "9" * 30])
@pytest.mark.parametrize("name", [download_limits.SIZE, download_limits.SECONDS])
def test_an_invalid_limit_is_refused(name: str, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, given)
    with pytest.raises(FetchFailed, match=name):
        read("http://127.0.0.1:1/rows.jsonl")


def test_redirects_to_other_schemes_and_endless_ones_are_refused(web: Served, tmp_path: Path) -> None:
    web.hops = "/rows.jsonl"
    assert read(f"http://{web.host}/moved") == ROWS  # control
    for place in (f"file://{tmp_path}/served/rows.jsonl", "ftp://127.0.0.1/x", "data:,{}", "javascript:x", "//["):
        web.hops = place
        with pytest.raises(UnknownSource):
            read(f"http://{web.host}/moved")
    with pytest.raises(UnknownSource, match="redirects more than"):
        read(f"http://{web.host}/round")
    assert [path for path, _ in web.seen].count("/round") == download.MAX_REDIRECTS + 1
    with pytest.raises(download_limits.Refused, match="from https to http"):
        download._redirected("https://127.0.0.1/a", "http://127.0.0.1/a")


def test_a_login_is_sent_to_its_own_host_only(web: Served, tmp_path: Path) -> None:
    with served(tmp_path / "served") as other:
        web.hops = f"http://localhost:{other.server_port}/rows.jsonl?sign=abcdefgh"
        assert read(f"http://user:secret@{web.host}/moved") == ROWS
        assert [login for _, login in other.seen] == [None]
        assert all(login for _, login in web.seen), "it was sent to its own host"
        web.hops = f"http://localhost:{other.server_port}/nowhere?sign=abcdefgh"
        with pytest.raises(UnknownSource, match="404") as error:
            read(f"http://user:secret@{web.host}/moved")
        assert "abcdefgh" not in str(error.value)


def test_a_login_from_netrc_is_used(web: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    web.login = "user:secret"
    with pytest.raises(UnknownSource, match="401"):  # control
        read(f"http://{web.host}/rows.jsonl")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert read(f"http://{web.host}/rows.jsonl") == ROWS


def test_the_error_for_a_full_disk_names_the_remedy(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    full, plain = Path("/dev/full"), Path.open
    if not full.exists():
        pytest.skip("needs /dev/full")

    def opened(path: Path, *how: str, **named: object) -> object:
        return plain(full if path.name.startswith("copy") else path, *how, **named)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(FetchFailed, match="TMPDIR"):
        read(f"http://{web.host}/rows.jsonl")


def test_an_interruption_removes_the_copy(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_self: object, _size: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download_limits.Watch, "count", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(f"http://{web.host}/rows.jsonl")


@pytest.mark.parametrize(
    "source",
    ["http://[::1/x", "http://", "http:///x", "https://host:99999/x", "http://h:abc/x", "http://\x00", "http://a\nb/x",
     "hub:", "hub:@x", "http://h/" + "a" * 9000, "http://exämple.invalid/x", "http://127.0.0.1:1/%zz%", "http://*/x",
     "http://" + "a" * 300 + "/x", "https://\ud800/x", "http://127.0.0.1:1/x", "ftp://h/x", "github://o:r@/x",
     "simplecache::http://127.0.0.1:1/x", "filecache::memory://x", "reference://x", "python://x", "tar://a::b.tar",
     "zip://a::zip://b::c", "zip://a.jsonl::nowhere.zip", "zip://a.jsonl::http://127.0.0.1:1/x.zip", "a\x00b",
     "a" * 5000,     "~nouser/x", "/dev/zero", "/dev/null", "/proc", "", ".", "file:///dev/zero", "local:///dev/zero"],
    ids=lambda source: ascii(source)[:40],
)  # fmt: skip
def test_an_invalid_address_raises_our_error(source: str) -> None:
    with pytest.raises(TaskError):
        read(source)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    for name in ("facts.jsonl", "facts.parquet", "facts.csv", "facts.json.gz"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UnknownSource, match="a pipe"):
            read(str(tmp_path / name))


def test_the_format_of_a_file_in_an_archive_depends_on_its_own_name(web: Served, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "served" / "all.zip", "w") as archive:
        archive.writestr("rows.csv", "n\n0\n1\n2\n")
    for place in (f"http://{web.host}/all.zip", str(tmp_path / "served" / "all.zip")):
        assert read(f"zip://rows.csv::{place}") == [{"n": "0"}, {"n": "1"}, {"n": "2"}]
        with pytest.raises(UnknownSource):
            read(f"zip://other.csv::{place}")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editflow.tasks.sources.remote_files.MIN_UNPACKED_LIMIT", 2**20)
    lines = b'{"n": 1}\n' * 2**18  # 2.3 MB of 7 kB
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "plain.jsonl.gz").write_bytes(gzip.compress(lines[: 9 * 2**16]))
    with pytest.raises(TaskError, match="unpacks to more than"):
        read(str(tmp_path / "bomb.jsonl.gz"))
    assert len(read(str(tmp_path / "plain.jsonl.gz"))) == 2**16  # control


@pytest.mark.exhaustive
@pytest.mark.parametrize("form", ["gz", "xz"])
def test_a_file_that_unpacks_to_nothing_is_refused(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros are padding to gzip and a series of empty files to lzma: a gigabyte takes an hour."""
    monkeypatch.setattr("editflow.tasks.sources.remote_files.MAX_IDLE_BYTES", 2**16)
    pack = {"gz": gzip.compress, "xz": lzma.compress}[form]
    filled = pack(b'{"n": 1}\n' * 2**10)
    for name, content, size in (("padded", filled if form == "gz" else b"", 2**33), ("plain", filled * 2**10, 0)):
        file = tmp_path / f"{name}.jsonl.{form}"
        file.write_bytes(content)
        if size:
            os.truncate(file, size)
    with pytest.raises(TaskError, match="unpack to nothing"):
        read(str(tmp_path / f"padded.jsonl.{form}"))
    assert (tmp_path / f"plain.jsonl.{form}").stat().st_size > 2**16
    assert len(read(str(tmp_path / f"plain.jsonl.{form}"))) == 2**20  # large, but each part unpacks to something


def test_remote_sources_are_recognised() -> None:
    remote = ("http://h/x", "HTTPS://h/x", "s3://b/x", "gs://b/x", "az://c/x", "hf://datasets/a/b", "hub:a/b",
             "zip://x::https://h/x.zip")  # fmt: skip
    local = ("facts.jsonl", "/a/b", "~/x", "file:///x", "memory://x", "zip://x::y.zip", "a::b", "wikipedia-sample")
    assert [source for source in (*remote, *local) if needs_network(source)] == list(remote)


@pytest.mark.parametrize(("address", "host"), [
    ("https://good.example:80/x", "good.example:80"),
    ("https://u:p@evil.example/x?y=${EDITFLOW_SECRET_A}", "evil.example"),
    ("https://evil.example:?@good.example/x", "evil.example:"),
    ("https://evil.example#@good.example/x", "evil.example"),
    ("s3://bucket/x", "bucket"),
])  # fmt: skip
def test_the_reported_host_is_the_one_that_is_contacted(address: str, host: str) -> None:
    assert download.host_of(address) == host


def test_a_host_with_a_backslash_is_refused(tmp_path: Path) -> None:
    address = Address(r"http://127.0.0.1:1\@u:p@127.0.0.1:2/x")
    with pytest.raises(TaskError, match="backslash"):
        download.download(address, address.full, tmp_path / "copy")
