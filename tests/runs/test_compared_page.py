"""The page of several runs: what is comparable stands side by side, and what is not is said."""

from __future__ import annotations

from fake_config import FakeGeneral
from report_pages import Page, train

from spectrain.runs.report import write_report
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
    assert page.all("tr")[0].text.endswith("general")  # the one option that differs
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
