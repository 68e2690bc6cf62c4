"""Invalid addresses, addresses with secrets, and servers with bad responses."""

from __future__ import annotations

from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.lake_tricks import ADDRESS

PATHS = (
    "facts.jsonl",
    "moved.jsonl",
    "cut.jsonl",
    "junk.jsonl",
    "gone.jsonl",
    "facts",
    "",
    "facts.parquet",
    "facts.csv",
)
STRANGE = (
    "http://[::1/x", "http://", "http:///x", "https://[", "http://a:b:c/x", "http://127.0.0.1:99999/x",
    "http://127.0.0.1:x/y", "//x",
    "hub:", "hub::", "hub:::", "hub:a:b:c:d@e@f", "hub:../../x", "hub:@", "hub: ", "hub:x\x00", "ftp://", "memory://x",
    "zip://", "tar://x",
    "data:,x", "data:;base64,%%%", "simplecache::", "filecache::x", "blockcache::file://x", "s3://", "s3://x/y",
    "gs://x", "jar://", "reference://", "dask://", "libarchive://x", "file://", "file:///", "file://host/x",
    "local://", "x://y", "::", "file::",
    "~nobody/x.jsonl", "~", ".", "..", "/", "", " ", "\x00", "a\x00b", "a" * 5_000, "/dev/null", "/proc/self/environ",
    "git://x", "ssh://x",
    "http://127.0.0.1:9/x", "HTTP://127.0.0.1:9/x", "http://\u202e/", "http://%00/", "root://x",
    "webhdfs://127.0.0.1:9/x",
)  # fmt: skip
"""Port 9 of 127.0.0.1 does not respond. No other host is contacted: packages for `s3://` etc. are not installed."""


def make(at: Setting) -> tuple[str, Ask]:
    """Draw an address and a command."""
    if at.draw.random() < 0.5:
        return "a strange address", _draw_command(at, at.draw.choice(STRANGE))
    path = at.draw.choice(PATHS)
    user = at.draw.choice((f"user:{ADDRESS}@", f"{ADDRESS}@", f":{ADDRESS}@", "", f"u%3A{ADDRESS}:x@"))
    query = at.draw.choice(
        (f"?token={ADDRESS}", f"?a=1&X-Amz-Signature={ADDRESS}", f"#{ADDRESS}", f";p={ADDRESS}", f"?{ADDRESS}")
    )
    scheme = at.draw.choice(("http", "HTTP", "http", "https", "simplecache::http", "ftp", "webdav"))
    return "an address with a secret", _draw_command(at, f"{scheme}://{user}127.0.0.1:{at.port}/{path}{query}")


def _draw_command(at: Setting, address: str) -> Ask:
    lake = at.folder / "lake"
    which = at.draw.random()
    if which < 0.6:
        return command("requests", "check", address, finds=True, connects=True)
    if which < 0.75:
        return command("submit", address, "--lake", lake, connects=True)
    key = at.draw.choice(("requests.source", "requests.references", "corpus.source", "model.source"))
    return command("plan", at.good.spec, "--lake", lake, "--set", f"{key}={address}", connects=True)
