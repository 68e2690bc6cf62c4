"""The report in a real browser: tabs, graph, search, widths, colour schemes, and hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support import hostile_lake as strangers
from support.report_browser import PARTS, WIDTHS, Watched, chromium, followed, go_through, opened, visible
from support.tiny_world import editflow

# Returns after all listeners of the new hash have run: its own is the last.
SET_HASH = "place => new Promise(done => { addEventListener('hashchange', done, {once: true}); location.hash = place })"


# `make test` goes through the report of the real model in a browser (test_real_model.py).
pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def written(hostile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with hostile facts."""
    out = tmp_path_factory.mktemp("report") / "r.html"
    assert editflow("report", "last", "--out", out, "--lake", hostile.lake).code == 0
    return out


@pytest.fixture(
    params=WIDTHS,
    ids=["wide", "narrow"],
)
def page(request: pytest.FixtureRequest, browser: Browser, written: Path) -> Iterator[Page]:
    with opened(browser, written, *request.param) as page:
        yield page
        assert page.title().startswith("tiny: 6 facts in 3 batches")


def test_tabs_graph_and_search_work(page: Page) -> None:
    assert visible(page) == ["overview"]
    go_through(page)


def test_the_arrow_keys_change_the_tab(page: Page) -> None:
    page.focus("#tab-overview")
    page.keyboard.press("ArrowRight")
    assert visible(page) == ["batches"]
    page.keyboard.press("End")
    assert visible(page) == ["spec"]
    page.keyboard.press("ArrowRight")
    assert visible(page) == ["overview"]


def test_search_finds_by_label_and_setting(page: Page) -> None:
    page.click("#tab-lineage")
    whole = page.locator(".artifact:visible").count()
    page.fill("#search", "weight change")
    found = page.locator(".artifact:visible").count()
    assert found == 3  # one per batch, without their descendants
    assert found < whole
    expect(page.locator("#found")).to_have_text(f"{found} found")
    assert page.locator(".graph a.lit").count() == found
    page.fill("#search", "no such thing")
    assert page.locator(".artifact:visible").count() == 0
    page.fill("#search", "")
    assert page.locator(".artifact:visible").count() == whole


def test_a_focused_node_shows_its_name_and_can_be_chosen_twice(page: Page) -> None:
    page.click("#tab-lineage")
    node = page.locator('.graph a:has([aria-label^="state 2,"])')
    node.focus()
    expect(page.locator("#hint")).to_contain_text("state 2")
    page.keyboard.press("Enter")
    expect(page.locator("summary:focus")).to_have_count(1)
    page.fill("#search", "model")
    node.click()
    assert page.locator(".graph a.chosen").count() == 1
    assert page.locator(".graph a.lit").count() > 3


@pytest.mark.parametrize("place", ["#main", "#%", "#nothing"])
def test_an_unknown_hash_does_not_change_the_tab(page: Page, place: str) -> None:
    page.click("#tab-layers")
    page.evaluate(SET_HASH, place)
    assert visible(page) == ["layers"]
    page.reload()
    assert visible(page) == ["overview"]


def test_the_colour_scheme_can_be_changed(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != before
    page.click("#theme")
    assert page.evaluate(ground) == before


def test_the_spec_can_be_copied(page: Page) -> None:
    page.click("#tab-spec")
    page.click("#copy")
    expect(page.locator("#copied")).not_to_have_text("")
    assert 'name = "tiny"' in page.locator("#toml").inner_text()


def test_all_tabs_are_printed(page: Page) -> None:
    page.emulate_media(media="print")
    assert visible(page) == list(PARTS)
    for part in ("color", "backgroundColor"):
        wanted = {"color": "rgb(0, 0, 0)", "backgroundColor": "rgb(255, 255, 255)"}[part]
        assert page.evaluate(f"getComputedStyle(document.body).{part}") == wanted


@pytest.mark.parametrize(
    "size",
    [WIDTHS[0], *(pytest.param(size, marks=pytest.mark.exhaustive) for size in WIDTHS[1:])],
    ids=["wide", "narrow"],
)
def test_a_lineage_page_has_the_graph(browser: Browser, hostile, tmp_path: Path, size: tuple[int, str]) -> None:
    """The same graph as in the report, for one artifact."""
    out = tmp_path / "lineage.html"
    change = next(use["artifact"] for use in hostile.record["uses"] if use["stage"] == "weight change 2")
    assert editflow("lineage", change, "--html", out, "--lake", hostile.lake).code == 0
    with opened(browser, out, *size) as page:
        assert page.title() == f"weight change 2 {change[:12]}, EditFlow"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        whole = page.locator(".artifact:visible").count()
        assert page.locator(".graph a").count() == whole
        page.locator('.graph a:has([aria-label^="state 1,"])').click()
        item = followed(page, "state 1")
        expect(page.locator("details[open]")).to_have_count(1)
        expect(item).to_contain_text("used by", use_inner_text=True)
        assert page.locator(".graph a.lit").count() > 3
        item.locator("a", has_text="rewrites 1").click()
        expect(followed(page, "rewrites 1").locator("dt:has-text('made from') + dd a")).to_have_count(0)
        page.fill("#search", "null space")
        assert 0 < page.locator(".artifact:visible").count() == page.locator(".graph a.lit").count() < whole
        page.click("#theme")
        page.emulate_media(media="print")
        assert page.locator(".graph svg").is_visible()


def test_a_hostile_lineage_is_escaped(browser: Browser, tmp_path: Path) -> None:
    """Unknown kinds, roles, labels and settings are shown, and none of them runs."""
    lake, out = strangers.lake(tmp_path / "lake"), tmp_path / "lineage.html"
    (documents,) = (m for m in lake.manifests() if m.kind == "documents")
    answer = editflow("lineage", documents.id, "--html", out, "--lake", lake.uri)
    assert answer.code == 0, answer.err
    with opened(browser, out, *WIDTHS[0]) as page:
        page.locator(".graph a").first.click()
        expect(page.locator("details[open]")).to_contain_text("[red]r[/red]", use_inner_text=True)
        assert "\\x1b[31mE" in page.title()


def test_without_scripts_everything_is_shown(browser: Browser, written: Path) -> None:
    plain = Watched(browser, written, java_script_enabled=False)
    assert visible(plain.page) == list(PARTS)
    plain.context.close()


def test_an_injected_script_is_noticed(browser: Browser, written: Path, tmp_path: Path) -> None:
    """Control: if a text is not escaped, the policy stops its script and the log has an error."""
    broken = tmp_path / "broken.html"
    text = written.read_text(encoding="utf-8")
    broken.write_text(text.replace("<main", "<script>document.title = 'taken'</script><main"), encoding="utf-8")
    taken = Watched(browser, broken)
    assert taken.page.title().startswith("tiny: 6 facts in 3 batches")
    assert any("Content Security Policy" in complaint for complaint in taken.complaints)
    taken.context.close()
