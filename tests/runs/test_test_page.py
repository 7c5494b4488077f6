"""The page of a test: which numbers have a range, and why others have none."""

from __future__ import annotations

from spectrain.metrics.base import Breakdown
from spectrain.runs.report.test_page import SplitTest
from spectrain.runs.report.test_page import test_page as page_of


def one(split, scenes, intervals):
    tables = {"scene": {"scene": scenes, "images": [2] * len(scenes), "accuracy": [0.5] * len(scenes)}}
    return SplitTest(split, 2, {"accuracy": 0.5}, Breakdown(tables, {"accuracy": 0.5}, intervals, "scene"), [])


def test_numbers_of_one_scene_have_no_range_and_the_page_says_so():
    text = page_of("run", "data", [one("val-test", ["a"], {})])
    assert "Numbers of val-test have no range: all images are of one scene" in text and "bootstrap" not in text


def test_numbers_of_several_scenes_have_one():
    text = page_of("run", "data", [one("val-test", ["a", "b"], {"accuracy": (0.4, 0.6)})])
    assert "0.4 to 0.6" in text and "bootstrap samples of the scenes" in text and "have no range" not in text
