"""The report in a real browser: tabs, graph, search, both widths and grounds, and texts that try to break out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tiny_world import editflow

PARTS = ("overview", "batches", "layers", "facts", "time", "lineage", "spec")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of the system's, or Playwright's own. Without one these tests fail: see README."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def written(hostile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the run over hostile facts."""
    out = tmp_path_factory.mktemp("report") / "r.html"
    assert editflow("report", "last", "--out", out, "--lake", hostile.lake).code == 0
    return out


class Watched:
    """A page with everything that it logged or asked for."""

    def __init__(self, browser: Browser, file: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())


@pytest.fixture(params=[(1280, "light"), (400, "dark")], ids=["wide", "narrow"])
def watched(request: pytest.FixtureRequest, browser: Browser, written: Path) -> Iterator[Watched]:
    """The page opened at a width and on a ground; at the end nothing was logged and nothing left the page."""
    width, scheme = request.param
    opened = Watched(browser, written, viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield opened
    assert opened.complaints == []
    assert opened.requests == [written.as_uri()]
    assert opened.page.title().startswith("tiny: 6 facts")
    opened.context.close()


def visible(page: Page) -> list[str]:
    return [part for part in PARTS if page.locator(f"#{part}").is_visible()]


def test_each_tab_shows_its_part_and_nothing_overflows(watched: Watched) -> None:
    page = watched.page
    assert visible(page) == ["overview"]
    for part in PARTS:
        page.click(f"#tab-{part}")
        assert visible(page) == [part]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(f"#tab-{part}").get_attribute("aria-selected") == "true"
        for picture in page.locator(f"#{part} svg").all():
            assert picture.bounding_box()["width"] > 100


def test_the_keyboard_walks_the_tabs(watched: Watched) -> None:
    page = watched.page
    page.focus("#tab-overview")
    page.keyboard.press("ArrowRight")
    assert visible(page) == ["batches"]
    page.keyboard.press("End")
    assert visible(page) == ["spec"]
    page.keyboard.press("ArrowRight")
    assert visible(page) == ["overview"]


def test_a_node_of_the_graph_opens_its_artifact(watched: Watched) -> None:
    page = watched.page
    page.click("#tab-lineage")
    node = page.locator('.graph a:has([aria-label^="state 2,"])')
    node.click()
    (item,) = page.locator("details[open]").all()
    assert "state 2" in item.inner_text()
    assert page.locator(".graph a.lit").count() > 3  # itself, its parents and children
    item.locator("a", has_text="weight change 2").first.click()
    assert "made from" in page.locator("details[open]", has_text="weight change 2").first.inner_text()


def test_search_finds_by_label_and_setting(watched: Watched) -> None:
    page = watched.page
    page.click("#tab-lineage")
    whole = page.locator(".artifact:visible").count()
    page.fill("#search", "weight change")
    found = page.locator(".artifact:visible").count()
    assert 0 < found < whole
    expect(page.locator("#found")).to_have_text(f"{found} found")
    assert page.locator(".graph a.lit").count() == found
    page.fill("#search", "no such thing")
    assert page.locator(".artifact:visible").count() == 0
    page.fill("#search", "")
    assert page.locator(".artifact:visible").count() == whole


def test_the_ground_can_be_changed(watched: Watched) -> None:
    page = watched.page
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != before
    page.click("#theme")
    assert page.evaluate(ground) == before


def test_the_spec_can_be_copied(watched: Watched) -> None:
    page = watched.page
    page.click("#tab-spec")
    page.click("#copy")
    expect(page.locator("#copied")).not_to_have_text("")
    assert 'name = "tiny"' in page.locator("#toml").inner_text()


def test_everything_is_printed(watched: Watched) -> None:
    watched.page.emulate_media(media="print")
    assert visible(watched.page) == list(PARTS)
    for part in ("color", "backgroundColor"):
        wanted = {"color": "rgb(0, 0, 0)", "backgroundColor": "rgb(255, 255, 255)"}[part]
        assert watched.page.evaluate(f"getComputedStyle(document.body).{part}") == wanted


def test_without_scripts_everything_is_there(browser: Browser, written: Path) -> None:
    opened = Watched(browser, written, java_script_enabled=False)
    assert visible(opened.page) == list(PARTS)
    opened.context.close()


def test_a_script_that_got_in_would_be_noticed(browser: Browser, written: Path, tmp_path: Path) -> None:
    """The control: were a text not escaped, the policy would stop its script, and the log would tell."""
    broken = tmp_path / "broken.html"
    text = written.read_text(encoding="utf-8")
    broken.write_text(text.replace("<main", "<script>document.title = 'taken'</script><main"), encoding="utf-8")
    opened = Watched(browser, broken)
    assert opened.page.title().startswith("tiny: 6 facts")
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)
    opened.context.close()
