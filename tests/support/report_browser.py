"""Opens a report in a real browser and records its log messages and requests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

PARTS = ("overview", "batches", "layers", "facts", "time", "lineage", "spec")
WIDTHS = ((1280, "light"), (400, "dark"))


@contextmanager
def chromium(*words: str) -> Iterator[Browser]:
    """Start the system's Chromium, or Playwright's (`make browser` installs it), with additional arguments."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *words])
        yield started
        started.close()


class Watched:
    """A page with its log messages and requests."""

    def __init__(self, browser: Browser, file: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())


@contextmanager
def opened(browser: Browser, file: Path, width: int, scheme: str) -> Iterator[Page]:
    """Open a page at a width and colour scheme; assert at the end that it logged and requested nothing."""
    watched = Watched(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield watched.page
    assert watched.complaints == []
    assert {url.partition("#")[0] for url in watched.requests} == {file.as_uri()}
    watched.context.close()


def visible(page: Page) -> list[str]:
    return [part for part in PARTS if page.locator(f"#{part}").is_visible()]


def followed(page: Page, label: str) -> Locator:
    """The artifact that a link leads to. Waits, because the browser changes the hash after the click has returned."""
    item = page.locator("details[open]:has(summary:focus)")
    expect(item.locator("summary")).to_contain_text(label, use_inner_text=True)
    return item


def go_through(page: Page) -> None:
    """Assert that each tab shows its part without overflow, and that graph and search lead to artifacts."""
    for part in PARTS:
        page.click(f"#tab-{part}")
        assert visible(page) == [part]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(f"#tab-{part}").get_attribute("aria-selected") == "true"
        for picture in page.locator(f"#{part} svg").all():
            assert picture.bounding_box()["width"] > 100
    page.click("#tab-lineage")
    page.locator('.graph a:has([aria-label^="state 2,"])').click()
    item = followed(page, "state 2")
    expect(page.locator("details[open]")).to_have_count(1)
    assert page.locator(".graph a.lit").count() > 3  # itself, its parents and children
    item.locator("a", has_text="weight change 2").first.click()
    expect(followed(page, "weight change 2")).to_contain_text("made from", use_inner_text=True)
    whole = page.locator(".artifact:visible").count()
    page.fill("#search", "weight change")
    assert 0 < page.locator(".artifact:visible").count() == page.locator(".graph a.lit").count() < whole
