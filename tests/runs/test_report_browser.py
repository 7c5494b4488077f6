"""The pages as a reader meets them: in a browser, wide and narrow, by keyboard, without scripts."""

from __future__ import annotations

import re

import pytest
from browser import Browser, chromium
from fake_config import FakeGeneral
from report_pages import HOSTILE, train

from spectrain.runs.report import write_report
from spectrain.runs.run import Run

needs_chromium = pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_light_and_dark_wide_and_narrow(cfg, tmp_path, browser, width, dark):
    runs = [train(cfg.but(general=FakeGeneral(notes=HOSTILE, seed=seed))) for seed in (1, 2)]
    both = write_report([run.folder for run in runs], tmp_path / "both.html")
    empty = Run.create(cfg)
    empty.finish("failed")
    for path in (runs[0].folder / "report.html", both, empty.folder / "report.html"):
        browser.problems.clear()
        browser.open(path, width=width, dark=dark)
        assert browser.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
        assert "owned" not in browser.evaluate("document.title")
        red, green, blue = re.findall(
            r"\d+", browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        )
        assert (sum(map(int, (red, green, blue))) < 200) == dark
        browser.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 5000
        assert browser.problems == []


@needs_chromium
def test_charts_answer_keys_and_pointer_and_pictures_the_slider(cfg, browser):
    run = train(cfg)
    browser.problems.clear()
    browser.open(run.folder / "report.html")
    readout = "document.querySelector('.readout').textContent"
    at_rest = browser.evaluate(readout)
    assert at_rest == "training 0.1667validation 0.25"
    browser.evaluate("document.querySelector('.plot').focus()")
    browser.key("Home")
    assert browser.evaluate(readout) == "epoch 0.5each step 1training 0.5validation 0.75"
    browser.key("ArrowRight")
    assert browser.evaluate(readout).startswith("epoch 1each step 0.5")
    browser.evaluate("document.querySelector('.plot').blur()")
    assert browser.evaluate(readout) == at_rest
    box = "document.querySelector('.area').getBoundingClientRect()"
    x, y = browser.evaluate(f"{box}.right - 1"), browser.evaluate(f"{box}.top + 9")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert browser.evaluate(readout).startswith("epoch 3each step 0.16667")
    assert browser.evaluate("document.querySelector('.cross').hidden") is False

    shown = "[...document.querySelectorAll('.strip > li')].filter(item => !item.hidden).map(item => item.dataset.epoch)"
    assert browser.evaluate(shown) == ["3"]
    browser.evaluate("document.querySelector('.slider input').focus()")
    browser.key("ArrowLeft")
    assert browser.evaluate(shown) == ["2"]
    assert browser.evaluate("document.querySelector('.slider-text').textContent") == "Epoch 2"
    assert browser.problems == []


@needs_chromium
def test_without_scripts_everything_is_there(cfg, browser):
    run = train(cfg)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(run.folder / "report.html")
        assert browser.evaluate("document.querySelectorAll('.strip > li:not([hidden])').length") == 3
        assert browser.evaluate("getComputedStyle(document.querySelector('.slider')).display") == "none"
        assert browser.evaluate("document.querySelectorAll('.line').length") >= 6
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@needs_chromium
def test_a_small_chart_opens_large_by_key_lists_its_values_and_goes_back(cfg, browser):
    run = train(cfg)
    browser.problems.clear()
    browser.open(run.folder / "report.html")
    titles = "[...document.querySelectorAll('.charts h4')].map(one => one.textContent)"
    before = browser.evaluate(titles)
    browser.evaluate("document.querySelector('.small .plot').focus()")
    browser.key("Enter")
    assert browser.evaluate("document.querySelector('dialog').open") is True
    assert browser.evaluate("document.querySelector('dialog').getAttribute('aria-label')") == "Learning rate"
    browser.evaluate("document.querySelector('dialog summary').click()")
    rows = "[...document.querySelectorAll('dialog td')].map(one => one.textContent)"
    browser.evaluate(
        "new Promise(done => setTimeout(done, 50)).then(() => 1)"
    )  # a fold says that it opened a little late
    assert browser.evaluate(rows)[:2] == ["0.1", "0.05"]
    browser.key("Escape")
    browser.evaluate("new Promise(done => setTimeout(done, 100)).then(() => 1)")  # that it closed is told a little late
    assert browser.evaluate("document.querySelector('dialog').open") is False
    assert browser.evaluate(titles) == before
    assert browser.evaluate("document.activeElement.getAttribute('aria-label')") == "Show large: Learning rate"
    assert browser.problems == []


@needs_chromium
def test_keys_reach_all_that_answers_in_the_order_of_the_page(cfg, browser):
    run = train(cfg)
    browser.open(run.folder / "report.html", width=390)
    here = (
        """(one => `${one.tagName.toLowerCase()} ${one.className || one.type || ''}`.trim())(document.activeElement)"""
    )
    seen = []
    while len(seen) < 25:
        browser.key("Tab")
        seen.append(browser.evaluate(here))
        if seen[-1] in seen[:-1] and seen[-1] == "a skip":
            break
        outline = browser.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or seen[-1].startswith("body"), seen
    assert seen[:9] == ["a skip", *["a"] * 6, "div plot", "summary"]
    assert seen[9:15] == ["div plot", "summary", "input range", "div plot", "button enlarge", "div plot"]
    assert "div scroll tall" in seen and browser.problems == []


@needs_chromium
def test_lines_of_a_run_are_hidden_by_its_box(cfg, tmp_path, browser):
    runs = [train(cfg.but(general=FakeGeneral(seed=seed))) for seed in (1, 2)]
    browser.open(write_report([run.folder for run in runs], tmp_path / "both.html"))
    shown = "[...document.querySelectorAll('.line')].filter(one => !one.hasAttribute('hidden')).length"
    before = browser.evaluate(shown)
    browser.evaluate("document.querySelector('.legend input').focus()")
    browser.key(" ")
    assert browser.evaluate(shown) == before / 2
    browser.evaluate("document.querySelector('.plot').focus()")
    browser.key("Home")
    readout = browser.evaluate("document.querySelector('.readout').textContent")
    assert runs[1].run_id in readout and runs[0].run_id not in readout
    browser.evaluate("document.querySelector('.legend input').click()")
    assert browser.evaluate(shown) == before and browser.problems == []
