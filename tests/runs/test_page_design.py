"""What all pages share: one set of colours with enough contrast, jump links, and care for print and motion."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from report_pages import Page, page_of, train

from spectrain.runs.report.document import document, part
from spectrain.runs.report.frame import Section, framed
from spectrain.runs.report.html import el
from spectrain.runs.report.test_page import SplitTest
from spectrain.runs.report.test_page import test_page as page_of_test

PICTURES = "spectrain.sweeps.pictures"
SHEETS = [
    part("style.css"),
    part("picture.css", PICTURES),
    part("page.css", PICTURES),
    part("explore.css", "spectrain.inference.explore"),
]


def colours(dark):
    """Return the colours of a mode by name; what dark does not name is as light has it."""
    light, _, rest = part("base.css").partition("@media screen and (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", rest)) if dark else {})


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("ground", ["paper", "wash"])
def test_text_has_enough_contrast_on_what_it_stands_on(dark, ground):
    found = colours(dark)
    names = ["ink", "soft", "accent", "good", "bad", *(f"run{number}" for number in range(8))]
    assert len({found[name] for name in names if name.startswith("run")}) == 8
    for name in names:  # WCAG 2.2, 1.4.3: 4.5 to 1
        low, high = sorted(luminance(found[one]) for one in (name, ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_colours_of_letters_and_papers_are_written_once():
    shared = set(colours(dark=False))
    for sheet in SHEETS:
        assert not shared & set(re.findall(r"--([\w-]+):", sheet))
        used = set(re.findall(r"var\(--([\w-]+)\)", sheet))
        own = set(re.findall(r"--([\w-]+):", sheet)) | {"sans", "mono"}
        others = set(re.findall(r"--([\w-]+):", part("picture.css", PICTURES)))
        assert used <= shared | own | others


def test_dark_is_for_screens_and_motion_for_those_who_want_it():
    for sheet in (part("base.css"), *SHEETS):
        assert "@media (prefers-color-scheme" not in sheet  # paper is white
        assert not re.search(r"transition:|animation:", sheet)
    style = part("style.css")
    assert style.count("scroll-behavior") == 1
    assert "scroll-behavior" in style.partition("@media (prefers-reduced-motion: no-preference) {")[2][:60]
    assert "@media print" in style


def test_every_page_has_its_landmarks_and_headings_in_order(cfg, tmp_path):
    test = page_of_test("run", "data", [SplitTest("metrics", 2, {"rmse": 1.0}, None, [])])
    for page in (page_of(train(cfg)), Page(test)):
        ranks = [rank for rank, _ in page.headings()]
        assert ranks[0] == 1 and ranks.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(ranks))
        skip = page.one("a", class_="skip")
        assert skip.attributes["href"] == "#content" and page.one("main").attributes["id"] == "content"
    links = [link.attributes["href"] for link in page_of(train(cfg)).all("a")]
    assert links == ["#content", "#training", "#pictures", "#curves", "#epochs", "#configuration", "#environment"]


def test_sections_of_one_title_have_two_names():
    page = Page(framed("t", el("h1", "t"), [Section(title, el("p", "x")) for title in ("A b", "a-b", "Content")]))
    idents = [tag.attributes["id"] for tag in page.all("h2")]
    assert len(set(idents)) == 3 and "content" not in idents
    assert [link.attributes["href"] for link in page.all("a")][1:] == [f"#{ident}" for ident in idents]


def test_every_page_begins_with_the_same_style():
    assert part("base.css") in document("t", "", "", el("p", "x"))
