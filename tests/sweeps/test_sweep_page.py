"""The page of a sweep: what it says in every state, that nothing can break out of it, and how it looks in a browser."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from browser import Browser, chromium
from made_sweeps import TEXT, add, made, many, plausible, two_metrics

from spectrain.sweeps.page import show

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """Which tags a page has, that all are closed, and its links."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.links = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name == "href" and tag == "a" and value[0] != "#"]
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(sweep):
    text = show(sweep).page.read_text()
    return text, Tags(text)


@pytest.fixture
def mixed(tmp_path):
    sweep = made(tmp_path)
    for _ in range(3):
        add(sweep, plausible())
    add(sweep, lambda n, p, run: plausible()(n, p, run) if run.seed == 42 else None, state="running")
    add(sweep, state="failed", reason="run f0r42: the loss is not finite")
    return sweep


def test_a_sweep_in_all_states(mixed):
    report = mixed.folder / "small-0" / "small-0-f0r42-abc" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("a report")
    text, tags = page_of(mixed)
    assert "3 complete, 1 running, 1 failed" in text and "before trial" in text
    assert tags.links == ["small-0/small-0-f0r42-abc/report.html"]  # of the one run that has a report
    assert (mixed.folder / tags.links[0]).is_file()
    assert text.count('<tr data-trial="') + text.count('<tr class="best" data-trial="') == 5
    assert "the loss is not finite" in text and "spectrain sweep retrain s1" in text
    written = {path.name for path in (mixed.folder / "plots").iterdir()}
    assert written >= {"history.svg", "folds.svg", "parallel.svg", "slice_optimizer.lr.svg"}
    assert all(f"{name}.csv" in {path.name for path in mixed.folder.iterdir()} for name in ("trials", "runs"))


def test_links_are_right_from_another_folder(mixed, tmp_path):
    report = mixed.folder / "small-0" / "small-0-f0r42-abc" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("a report")
    found = show(mixed, tmp_path / "else where" / "page")
    assert found.page.parent == tmp_path / "else where" / "page"
    assert Tags(found.page.read_text()).links == ["../../s1/small-0/small-0-f0r42-abc/report.html"]


def test_pictures_are_files_that_need_nothing_else(mixed):
    show(mixed)
    for path in (mixed.folder / "plots").glob("*.svg"):
        root = ET.fromstring(path.read_text())
        assert root.tag.endswith("svg") and float(root.get("width")) > 100
        assert "var(" not in path.read_text() and "url(" not in path.read_text()
    (mixed.folder / "plots" / "slice_old.svg").write_text("of a parameter that is no more")
    show(mixed)
    assert not (mixed.folder / "plots" / "slice_old.svg").exists()


def test_nothing_can_break_out(tmp_path):
    import json

    text = TEXT.replace("name: small", f"name: {json.dumps(HOSTILE)}").replace("resnet18", json.dumps(HOSTILE))
    text = text.replace("loss.gamma", json.dumps(f"loss.{HOSTILE}").replace(".", "_"))
    sweep = made(tmp_path, text)
    scores = lambda number, parameters, run: (number / 10 + (run.fold or 0) / 100,)  # noqa: E731
    for _ in range(12):
        add(sweep, scores)
    add(sweep, state="failed", reason=HOSTILE)
    page, tags = page_of(sweep)
    assert "<img" not in page and "<script>document" not in page and tags.seen.count("script") == 1
    assert all(name in tags.seen for name in ("svg", "table")) and "&lt;/script&gt;" in page
    for path in (sweep.folder / "plots").glob("*.svg"):
        assert "<img" not in path.read_text() and "<script" not in path.read_text()
        assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "No trial was begun yet."),
        (["failed"], "Every trial failed"),
        (["running", "waiting"], "No trial is complete yet"),
        (["complete"], "the only complete one"),
    ],
)
def test_a_sweep_that_has_hardly_begun(tmp_path, states, said):
    sweep = made(tmp_path)
    for state in states:
        add(sweep, plausible() if state == "complete" else None, state=state, reason="no such file")
    text, tags = page_of(sweep)
    assert said in text and ("svg" in tags.seen) == ("complete" in states)
    assert "nan" not in re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.S)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300, 0.0])
def test_scores_that_no_axis_can_hold(tmp_path, value):
    sweep = made(tmp_path)
    for score in (value, 0.5, 0.5):
        add(
            sweep,
            lambda number, parameters, run, score=score: (score,),
            state="pruned" if score != score else "complete",
        )
    text, _ = page_of(sweep)
    drawn = re.findall(r'(?: d| x| y| cx| cy| width)="([^"]*)"', text)
    assert drawn and not [one for one in drawn if "nan" in one or "inf" in one]


def test_two_metrics_have_a_front(tmp_path):
    sweep = made(tmp_path, two_metrics())
    for _ in range(5):
        add(sweep, plausible(2))
    text, _ = page_of(sweep)
    assert "Pareto front" in text and "--trial" in text
    names = {path.name for path in (sweep.folder / "plots").iterdir()}
    assert {"pareto.svg", "history_jaccard_valid.svg", "history_loss_valid.svg"} <= names


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium() is None:
        pytest.skip("Chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    sweep = made(tmp_path_factory.mktemp("long"), many(8))
    for _ in range(12):
        add(sweep, plausible())
    add(sweep, state="failed", reason="x" * 500)
    return show(sweep).page


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(long_page, browser, tmp_path, width, dark):
    browser.problems.clear()
    browser.open(long_page, width=width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    small = """[...document.querySelectorAll('.picture')].filter(one => one.getBoundingClientRect().width > 0)
      .map(one => 13 * one.getBoundingClientRect().width / one.viewBox.baseVal.width)"""
    assert min(browser.evaluate(small)) > 11  # px that text of a picture has
    browser.screenshot(tmp_path / "page.png")
    assert browser.problems == []


def test_the_table_sorts_and_a_trial_lights_up(long_page, browser):
    browser.open(long_page)
    first = "[...document.querySelectorAll('table.trials tbody tr')].map(row => row.dataset.trial)"
    assert browser.evaluate(first)[-1] == "12"  # failed
    browser.evaluate("document.querySelector('table.trials thead th').click()")
    assert browser.evaluate(first) == [str(number) for number in range(13)]
    browser.evaluate("document.querySelector('table.trials thead th').click()")
    assert browser.evaluate(first)[0] == "12"
    head = "[...document.querySelectorAll('table.trials thead th')].find(one => one.textContent === 'jaccard_valid')"
    browser.evaluate(f"{head}.click()")
    scores = "[...document.querySelectorAll('table.trials tbody tr')].map(row => parseFloat(row.cells[2].dataset.sort))"
    found = browser.evaluate(scores)
    assert found[:-1] == sorted(found[:-1]) and found[-1] is None  # what has none stays at the end
    browser.evaluate(
        "document.querySelector('svg [data-trial=\"3\"]').dispatchEvent(new Event('pointerover', {bubbles: true}))"
    )
    assert browser.evaluate("document.querySelector('tr.lit').dataset.trial") == "3"
    assert browser.evaluate("[...document.querySelectorAll('.lit')].every(one => one.dataset.trial === '3')")
