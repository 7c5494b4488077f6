"""The page of several runs: what is comparable stands side by side, and what is not is said."""

from __future__ import annotations

import json

import pytest
from fake_config import FakeGeneral, FakePart
from report_pages import Page, train

from spectrain.core.errors import RunError
from spectrain.runs.report import scores, write_report
from spectrain.runs.report.read_run import ReadRun
from spectrain.runs.report.words import key_numbers
from spectrain.runs.run import Run


def test_several_runs_side_by_side(cfg, tmp_path):
    runs = [train(cfg.but(general=FakeGeneral(seed=seed)), epochs) for seed, epochs in ((1, 3), (2, 2))]
    empty = Run.create(cfg.but(general=FakeGeneral(seed=5)))
    empty.finish("failed")
    path = write_report([run.folder for run in (*runs, empty)])
    assert path == empty.folder.parent / "report.html"
    page = Page(path.read_text())
    assert page.one("h1").text == "3 runs compared"
    assert [title.text for title in page.all("h3")][:3] == ["Loss, validation", "IoU, validation", "Views"]
    table = page.all("table")[0].text
    for run in (*runs, empty):
        assert run.run_id in table
    assert len(page.all("figure", class_="pictures")) == 1
    assert page.all("tr")[0].text.startswith("runstatusBest validation lossgeneral")  # the one option that differs
    again = write_report([runs[0].folder, runs[0].folder], tmp_path / "same.html")
    text = again.read_text()
    assert "Key numbers; the runs have the same options" in text
    assert "2 " + runs[0].run_name in text


def test_ten_runs_have_ten_looks(cfg):
    runs = [train(cfg, 1, pictures=False) for _ in range(10)]
    page = Page(write_report([run.folder for run in runs]).read_text())
    looks = [
        tag.attributes["class"] for tag in page.all("span") if tag.attributes.get("class", "").startswith("swatch")
    ]
    assert len(set(looks)) == 10


def compared(runs, *more):
    return Page(write_report([*(run.folder for run in runs), *more]).read_text())


def test_the_best_is_marked_in_words_and_options_stand_beside_it(cfg):
    runs = [
        train(cfg.but(model=FakePart(name)), 1, loss=lambda step, good=good: good / step, pictures=False)
        for name, good in (("small_net", 3.0), ("large_net", 2.0))
    ]
    page = compared(runs)
    table = page.one("table", class_="runs")
    rows = [row.text for row in page.all("tr") if "contrastive-large_net" in row.text]
    assert "1.5 best" in rows[0] and table.text.count(" best") == 1
    assert '{"name": "large_net"}' in rows[0] and '{"name": "small_net"}' in table.text
    assert page.all("ul", class_="doubts") == []


def test_other_data_are_a_doubt_and_so_is_a_run_that_is_not_finished(cfg):
    runs = [train(cfg, 1, pictures=False, status=status) for status in ("finished", "interrupted")]
    runs[0].update_info(fingerprint="a")
    text = compared(runs).one("ul", class_="doubts").text
    assert "have different data" in text and "1 of them is not finished" in text


def test_runs_of_different_tasks_are_not_compared(cfg):
    runs = [train(cfg.but(recipe=recipe), 1) for recipe in ("mae", "mae", "contrastive")]
    page = compared(runs)
    assert "Their tasks differ" in page.one("ul", class_="doubts").text
    titles = [text for rank, text in page.headings() if rank == 2]
    assert titles[:2] == ["Runs of mae", "Training of mae"] and titles[-1] == "Curves of contrastive"
    first, second = page.all("table", class_="runs")
    assert runs[2].run_id not in first.text and runs[0].run_id not in second.text
    looks = {tag.attributes["class"] for tag in page.all("span") if "swatch" in tag.attributes.get("class", "")}
    assert looks == {"swatch run0", "swatch run1", "swatch run2"}  # a run has one colour on the page


def test_what_is_no_run_is_left_out_and_said(cfg, tmp_path):
    run = train(cfg, 1)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert (
        f"Left out is {nothing}: this is not a run folder"
        in compared([run, run], nothing).one("ul", class_="doubts").text
    )
    before = (run.folder / "report.html").read_text()
    for folders in ([nothing, nothing], [run.folder, nothing]):
        with pytest.raises(RunError, match="not a run folder"):
            write_report(folders)
    assert (run.folder / "report.html").read_text() == before


def test_damaged_lines_are_left_out(cfg):
    run = train(cfg, 2)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo\n[1]\n')
    test = run.folder / "test" / "data" / "tests.json"
    test.parent.mkdir(parents=True)
    test.write_text("{")
    assert len(ReadRun.read(run.folder).intervals) == 4
    write_report([run.folder])


def test_a_test_in_the_folder_is_a_key_number_with_a_link_to_its_page(cfg):
    run = train(cfg, 1)
    folder = run.folder / "test" / "other data"
    folder.mkdir(parents=True)
    metrics = {"loss": {"value": 2.0}, "jaccard": {"value": 0.5, "low": 0.25, "high": 0.75}, "rmse": {"value": None}}
    split = {"images": 3, "metrics": metrics, "intervals_over": "scene"}
    (folder / "tests.json").write_text(json.dumps({"data": ["a/other data"], "splits": {"val-test": split}}))
    page = Page(write_report([run.folder]).read_text())
    assert page.all("a")[-1].attributes["href"] == "test/other%20data/index.html"
    assert "Intersection over union0.5 0.25 to 0.75" in page.one("table", class_="values").text
    (found,) = [one for one in key_numbers(ReadRun.read(run.folder)) if one.name.startswith("Test")]
    assert found[:3] == ("Test intersection over union", "0.5", "val-test, 3 images")
    record = {"data": ["a/other data"], "splits": {"val-test": split}}
    for version, count in ((1, 1), (9, 0)):  # a newer one is left out
        tag = {"name": "spectrain.tests", "version": version}
        (folder / "tests.json").write_text(json.dumps({"format": tag, **record}))
        assert len(scores.tests_of(run.folder)) == count
