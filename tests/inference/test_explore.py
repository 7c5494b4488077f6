"""The page to explore embeddings with, in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from browser import Browser, chromium
from PIL import Image

from spectrain.inference.embeddings.neighbours import nearest
from spectrain.inference.explore import write_explore
from spectrain.inference.explore.columns import columns_of
from spectrain.inference.explore.sprites import sheets_of

HOSTILE = "</script><script>document.title='owned'</script><b>bold</b>"
COUNT = 40


def table() -> pd.DataFrame:
    number = np.arange(COUNT)
    depth = number * 1.5
    depth[3] = np.nan
    return pd.DataFrame(
        {
            "patch_id": [f"p{i}" for i in number],
            "depth": depth,
            "sea": np.where(number < 10, "north", HOSTILE),
            "note": [f"{i} " + "long " * 200 for i in number],
            "all the same": 1,
        }
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Points on a line from left to right, each a grey of its own; the last has no place on the map."""
    path = tmp_path_factory.mktemp("explore") / "page.html"
    angle = np.linspace(0, 2, COUNT)
    rows = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    line = np.stack([np.arange(COUNT), np.zeros(COUNT)], 1).astype(float)
    line[-1] = np.nan
    near, cosines = nearest(rows, np.arange(COUNT), 5)
    grey = np.broadcast_to((np.arange(COUNT) * 6).astype(np.uint8)[:, None, None, None], (COUNT, 8, 8, 3))
    write_explore(
        path,
        title=f"Embeddings {HOSTILE}",
        positions={"PCA": line, "UMAP": line[:, ::-1]},
        neighbours=near,
        cosines=cosines,
        thumbnails=np.ascontiguousarray(grey),
        metadata=table(),
        facts={"run": "a/b"},
    )
    return path


@pytest.fixture(scope="module")
def opened(page, tmp_path_factory):
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(opened, page):
    opened.problems.clear()
    opened.open(page, width=1200, height=800)
    wait(opened, "sheets.every((sheet) => sheet.complete)")
    yield opened
    # the browser's remark on how these tests read pixels
    assert [problem for problem in opened.problems if "readback" not in problem] == []
    assert "owned" not in opened.evaluate("document.title").split("<")[0]


def wait(browser, condition):
    for _ in range(100):
        if browser.evaluate(condition):
            return
        time.sleep(0.05)
    raise AssertionError(condition)


def mouse(browser, kind, point, **more):
    left, top = browser.evaluate("[canvas.getBoundingClientRect().left, canvas.getBoundingClientRect().top]")
    x, y = browser.evaluate(f"screen({point})")
    browser.call("Input.dispatchMouseEvent", type=kind, x=left + x, y=top + y, **more)


def click(browser, point):
    for kind in ("mousePressed", "mouseReleased"):
        mouse(browser, kind, point, button="left", clickCount=1)


def grey_of(browser, ident):
    return browser.evaluate(f"document.getElementById('{ident}').getContext('2d').getImageData(4, 4, 1, 1).data[0]")


def listed(browser):
    return browser.evaluate("[...document.querySelectorAll('#near button')].map((b) => b.getAttribute('aria-label'))")


def test_hovering_shows_the_image_and_what_is_known_of_it(browser):
    assert browser.evaluate("get('hover').hidden")
    mouse(browser, "mouseMoved", 7)
    assert not browser.evaluate("get('hover').hidden")
    assert grey_of(browser, "hover-image") == pytest.approx(42, abs=6)
    assert browser.evaluate("get('hover-text').innerText").split("\n") == ["p7", "depth 10.5"]
    mouse(browser, "mouseMoved", 20)
    assert grey_of(browser, "hover-image") == pytest.approx(120, abs=6)
    assert browser.evaluate("get('hover-text').innerText").startswith("p20")


def test_clicking_lists_the_nearest_images_in_order(browser):
    click(browser, 10)
    assert browser.evaluate("state.selected") == 10
    assert [label.split(",")[0] for label in listed(browser)] == ["p9", "p11", "p8", "p12", "p7"]
    assert re.fullmatch(r"p9, cosine 0\.99\d", listed(browser)[0])
    assert grey_of(browser, "selected-image") == pytest.approx(60, abs=6)
    assert "depth" in browser.evaluate("get('selected-facts').innerText")
    assert browser.evaluate("get('live').textContent") == "p10 selected, depth 15; 5 nearest images listed."
    browser.evaluate("document.querySelectorAll('#near button')[1].click()")
    assert browser.evaluate("state.selected") == 11


def test_filters_combine_and_count(browser):
    assert browser.evaluate("get('count').textContent") == "40 images"
    script = """(() => { const inputs = document.querySelectorAll('.range input');
        inputs[0].value = 100; inputs[0].oninput(); })()"""
    browser.evaluate(script)  # depth from a tenth on: 5.85 of 0 to 58.5
    assert browser.evaluate("get('count').textContent") == "36 of 40 images"
    browser.evaluate("(() => { const box = document.querySelectorAll('.choices input')[0]; box.click(); })()")
    shown = [i for i, is_shown in enumerate(browser.evaluate("state.shown")) if is_shown]
    assert shown == [4, 5, 6, 7, 8, 9]  # deep enough, and of the other sea
    assert browser.evaluate("get('count').textContent") == "6 of 40 images"
    click(browser, 20)
    assert browser.evaluate("state.selected") == -1  # what is filtered out cannot be picked
    click(browser, 8)
    assert [label.split(", ")[0] for label in listed(browser) if "outside the filter" in label] == ["p10"]
    browser.evaluate("get('all').click()")
    assert browser.evaluate("get('count').textContent") == "40 images"


def test_colours_follow_a_column(browser):
    assert browser.evaluate("[...get('choose-colour').options].map((o) => o.text)") == ["one for all", "depth", "sea"]
    by_depth = browser.evaluate("colours")
    assert len(set(by_depth)) > 20
    browser.evaluate("(() => { get('choose-colour').value = 'sea'; get('choose-colour').onchange(); })()")
    by_sea = browser.evaluate("colours")
    assert len(set(by_sea[:10])) == 1 and len(set(by_sea)) == 2
    assert browser.evaluate("get('legend').innerText").count("\n") == 1
    assert browser.evaluate("document.querySelectorAll('#legend b').length") == 0  # the hostile text is text


def test_keys_move_the_selection(browser):
    click(browser, 10)
    browser.evaluate("canvas.focus()")
    browser.key("ArrowRight")
    assert browser.evaluate("state.selected") == 11
    browser.key("ArrowLeft")
    browser.key("ArrowLeft")
    assert browser.evaluate("state.selected") == 9
    browser.evaluate("canvas.onkeydown({key: 'Escape', preventDefault() {}})")
    assert browser.evaluate("state.selected") == -1
    assert browser.evaluate("get('live').textContent") == "Nothing is selected."


def test_the_other_map_and_the_zoom(browser):
    before = browser.evaluate("screen(5)")
    browser.evaluate(
        "(() => { get('choose-map').value = 'UMAP'; get('choose-map').onchange({target: get('choose-map')}); })()"
    )
    assert browser.evaluate("screen(5)") != before
    wide = browser.evaluate("Math.abs(screen(0)[1] - screen(9)[1])")
    browser.evaluate("get('closer').click()")
    assert browser.evaluate("Math.abs(screen(0)[1] - screen(9)[1])") == pytest.approx(1.6 * wide, rel=1e-6)
    browser.evaluate("get('whole').click()")
    assert browser.evaluate("Math.abs(screen(0)[1] - screen(9)[1])") == pytest.approx(wide, rel=1e-6)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)])
def test_nothing_sticks_out(opened, page, width, dark):
    opened.problems.clear()
    opened.open(page, width=width, height=844, dark=dark)
    click(opened, 10)
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    assert opened.problems == []


def test_images_without_a_place_are_counted_and_text_is_inert(page):
    text = page.read_text()
    assert "1, not on the map" in text
    assert text.count("<script") == 2  # the data and ours
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


def test_columns_become_numbers_classes_or_text():
    found = {column["name"]: column for column in columns_of(table())}
    assert {name: column["kind"] for name, column in found.items()} == {
        "patch_id": "text",
        "depth": "number",
        "sea": "class",
        "note": "text",
        "all the same": "class",
    }
    assert found["depth"]["values"][3] is None
    assert max(map(len, found["note"]["values"])) == 200
    mixed = columns_of(
        pd.DataFrame({"a": [10, 9, None], "b": [True, False, None], "t": pd.to_datetime(["2020", None, "2021"])})
    )
    assert [column["kind"] for column in mixed] == ["number", "class", "class"]
    assert mixed[1]["values"] == [1, 0, -1]
    assert json.dumps(mixed, allow_nan=False)


@pytest.mark.parametrize("count", [1, 33, 1025])
def test_sheets_hold_every_image_in_its_place(count):
    images = np.broadcast_to((np.arange(count) % 250).astype(np.uint8)[:, None, None, None], (count, 4, 6, 3))
    sheets = sheets_of(images)
    assert len(sheets) == -(-count // 1024)
    last = Image.open(io.BytesIO(base64.b64decode(sheets[-1].partition(",")[2]))).convert("RGB")
    place = (count - 1) % 1024
    pixel = last.getpixel(((place % 32) * 6 + 3, (place // 32) * 4 + 2))
    assert pixel[0] == pytest.approx((count - 1) % 250, abs=8)


def test_a_single_image(tmp_path):
    near, cosines = nearest(np.ones((1, 2), np.float32), np.array([0]), 3)
    write_explore(
        tmp_path / "one.html",
        title="one",
        positions={"PCA": np.full((1, 2), np.nan)},
        neighbours=near,
        cosines=np.nan_to_num(cosines),
        thumbnails=np.zeros((1, 4, 4, 3), np.uint8),
        metadata=pd.DataFrame({"patch_id": ["a"]}),
        facts={},
    )
    assert "1, not on the map" in (tmp_path / "one.html").read_text()
