from __future__ import annotations

import json
import math
import os
import re

import numpy as np
import pytest
from fake_config import FakeDataset, FakeGeneral
from report_pages import HOSTILE, Page, page_of, train

from spectrain.core.errors import RunError
from spectrain.runs.report import write_report
from spectrain.runs.report.html import Html, data_block, el
from spectrain.runs.report.options import Option, read_options
from spectrain.runs.report.pictures import spread
from spectrain.runs.report.read_run import Picture
from spectrain.runs.run import Run


def test_the_page_says_what_was_trained_on_what_and_how_it_went(cfg):
    run = Run.create(cfg.but(general=FakeGeneral(notes="first try")))
    run.update_info(parameters=1234567, data={"train": [100, 3, 64, 32], "valid": [20, 3, 64, 32]}, fingerprint="9f2a")
    run.update_info(timings={"training_s": 3723.0, "samples_per_s": 1234.5, "data_wait": 0.031})
    run.log_epoch({"loss_train": 0.75, "loss_valid": 0.5}, epoch=1, step=10)
    run.log_epoch({"loss_train": 0.5, "loss_valid": 0.625}, epoch=2, step=20)
    run.finish("finished")
    page = page_of(run)
    text = page.one("body").text
    assert page.one("h1").text == f"contrastive-tiny_net {run.run_id}"
    assert (
        "tiny_net with 1,234,567 parameters, trained by the recipe contrastive on 100 patches of 3 × 64 × 32 "
        "(bands × height × width) from ocean.h5, validated on 20 others."
    ) in text
    for wanted in ("finished", "first try", "9f2a", "1:02:03", "1,234", "3.1%", str(run.folder)):
        assert wanted in text
    numbers = dict(zip([t.text for t in page.all("dt")], [t.text for t in page.all("dd")], strict=True))
    assert numbers["Best validation loss"] == "0.5epoch 1"
    assert numbers["Epochs"] == "2" + "20 steps"
    assert [row.text for row in page.all("tr", class_="best")] == ["1 best100.750.5"]


def test_it_is_one_file_that_asks_for_nothing_and_runs_only_its_own_script(cfg):
    source = (train(cfg).folder / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", source)
    assert not re.search(r"@import|url\(|https?://", source)
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_landmarks_headings_captions_and_alternatives(cfg):
    page = page_of(train(cfg))
    assert page.one("html").attributes["lang"] == "en"
    assert len(page.all("header")) == len(page.all("main")) == len(page.all("footer")) == len(page.all("h1")) == 1
    idents = [tag.attributes["id"] for tag in page.tags if "id" in tag.attributes]
    assert len(idents) == len(set(idents))
    for tag in page.tags:
        assert tag.attributes.get("aria-labelledby") in {None, *idents}
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(image.attributes["alt"] for image in page.all("img"))
    assert next(image.attributes["alt"] for image in page.all("img")) == (
        "Views, epoch 1. A column a patch: below each other the views of it that are to be found alike."
    )
    plots = page.all("div", role="img")
    assert (
        "Loss over epoch. training: last 0.1667, smallest 0.1667 at epoch 3, largest 0.5 at epoch 1"
        in plots[0].attributes["aria-label"]
    )
    assert all(plot.attributes["tabindex"] == "0" for plot in plots)
    assert all(cell.attributes.get("scope") in {"col", "row"} for cell in page.all("th"))


def test_charts_and_their_order(cfg):
    page = page_of(train(cfg))
    assert page.headings() == [
        (1, f"contrastive-tiny_net {page.one('span', class_='ident').text.strip()}"),
        (2, "Training"),
        (3, "Loss"),
        (3, "IoU, validation"),
        (2, "Pictures"),
        (3, "Views"),
        (2, "Curves"),
        (3, "Rate and speed"),
        (4, "Learning rate"),
        (4, "Speed, samples/s"),
        (4, "Time spent waiting for data, %"),
        (2, "Epochs"),
        (2, "Configuration"),
        (2, "Environment"),
    ]
    assert [label.text for label in page.tags if label.attributes.get("class", "").startswith("end ")] == [
        "each step",
        "training",
        "validation",
    ]
    data = [json.loads(block.text) for block in page.all("script", type="application/json")]
    assert data[0]["lines"][1]["x"] == [1, 2, 3]
    assert data[0]["lines"][0]["x"] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert data[4]["lines"][0]["text"][0] == "25"


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_run_that_has_hardly_begun_has_a_page(cfg, epochs):
    page = page_of(train(cfg, epochs, status="interrupted"))
    text = page.one("body").text
    if epochs:
        assert "1 epoch, the newest first" in text
    else:
        assert "No number was logged yet." in text
        assert "No epoch is complete yet." in text
    assert "interrupted" in text
    assert "spectrain train --resume" in text


def test_intervals_before_the_first_epoch_are_drawn_over_steps(cfg):
    run = Run.create(cfg)
    run.log_interval({"loss_train": 2.0}, step=10, epoch=1)
    run.finish("failed")
    page = page_of(run)
    assert page.one("div", class_="x-title").text == "optimiser step"


def test_values_that_are_not_finite_are_gaps_and_counted(cfg):
    losses = {2: math.nan, 4: math.inf, 5: -math.inf}
    page = page_of(train(cfg, 4, loss=lambda step: losses.get(step, 1.0)))
    note = next(tag.text for tag in page.all("p", class_="note") if "not finite" in tag.text)
    assert (
        note == "best 1.5 in epoch 3; 6 values are not finite and left out"
    )  # two epochs' means, one validation, three steps
    for path in page.all("path"):
        assert not re.search("nan|inf", path.attributes["d"])
    assert "NaN" in page.all("table")[0].text
    assert "∞" in page.all("table")[0].text
    nothing = page_of(train(cfg, 2, loss=lambda step: math.nan))
    assert "no finite value yet" in nothing.one("body").text


def test_a_hundred_thousand_steps_make_a_small_page(cfg):
    run = Run.create(cfg)
    run.log_epoch({"loss_train": 1.0}, epoch=1, step=200_000)
    run.write_curves({"loss_step_train": np.random.default_rng(0).random(200_000), "lr": np.ones(200_000)})
    run.finish("finished")
    assert (run.folder / "report.html").stat().st_size < 400_000


def test_hostile_text_stays_text(cfg):
    run = train(
        cfg.but(
            run_name="<b>&'\"",
            general=FakeGeneral(notes=HOSTILE),
            dataset=FakeDataset(path=HOSTILE.replace("/", "")),
        ),
        1,
    )
    page = page_of(run)
    assert page.one("p", class_="notes").text == HOSTILE
    assert page.one("h1").text.startswith("<b>&'\"")
    assert next(tag for tag in page.all("script") if "type" not in tag.attributes).text.startswith('"use strict"')
    assert len(page.all("img")) == 1


def test_elements_escape_all_but_html():
    assert el("p", "<&", Html("<b>x</b>"), None, title='"<') == '<p title="&quot;&lt;">&lt;&amp;<b>x</b></p>'
    assert el("input", hidden=True, disabled=False, value=None) == "<input hidden>"
    block = data_block({"a": "</script><!--"})
    assert block.count("<") == 2
    assert json.loads(Page(block).one("script").text) == {"a": "</script><!--"}


def test_options_come_with_their_origins(cfg, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "recipe: contrastive\nmodel:\n  name: 'a  # b'  # opts.json:3\n  deep:\n    lr: 0.1  # default\nx: 1\n"
    )
    assert read_options(path) == [
        Option("recipe", "contrastive", ""),
        Option("model.name", "'a  # b'", "opts.json:3"),
        Option("model.deep.lr", "0.1", "default"),
        Option("x", "1", ""),
    ]
    assert read_options(tmp_path / "none") == []
    text = page_of(train(cfg, 1)).one("body").text
    assert "recipe contrastive" in text


def test_the_real_configuration_is_understood(tmp_path):
    from spectrain.config import load_config

    cfg = load_config("contrastive", overrides=["dataset.path=a.h5", f"artifact_dir={tmp_path}"])
    run = train(cfg, 1)
    page = page_of(run)
    assert "trained by the recipe contrastive on a.h5" in page.one("body").text
    rows = [row.text for row in page.all("tr")]
    assert "dataset.patha.h5command line" in rows
    assert any(row.startswith("hparams.log_every10default") for row in rows)
    assert Run.open(run.folder).cfg.dataset.path == "a.h5"


def test_pictures_are_spread_over_the_run(tmp_path):
    pictures = [Picture("a", epoch, tmp_path) for epoch in range(1, 101)]
    assert [picture.epoch for picture in spread(pictures)] == [1, 10, 19, 28, 37, 46, 55, 64, 73, 82, 91, 100]
    assert spread(pictures[:3]) == pictures[:3]


def test_a_run_whose_process_is_gone_says_so(cfg):
    run = Run.create(cfg)
    run.update_info(process={"pid": 2**22 + 1})
    write_report([run.folder])
    assert "stopped without notice" in page_of(run).one("body").text
    run.update_info(process={"pid": os.getpid()})
    write_report([run.folder])
    assert "running" in page_of(run).one("body").text


def test_what_cannot_be_reported_is_an_error(cfg, tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        write_report([tmp_path])
    with pytest.raises(ValueError, match="no run folder"):
        write_report([])
    run = train(cfg, 1)
    (run.folder / "curves.h5").write_bytes(b"damaged")
    (run.folder / "config.yaml").unlink()
    assert write_report([run.folder], tmp_path / "out.html") == tmp_path / "out.html"


def test_a_masked_autoencoder_is_told_in_its_own_words(cfg):
    run = Run.create(cfg)
    run.update_info(members=[[30, 12, 16, 16], [13, 218, 32, 32]], parameters=1000, remarks={"mse_masked": "Squared."})
    row = {"loss_train": 2.0, "loss_sam_train": 0.5, "lr": 0.1, "loss_valid": 1.0, "loss_sam_valid": 0.25}
    run.log_epoch(row | {"psnr_masked_valid": 17.5, "mse_masked_valid": 0.1}, epoch=1, step=2)
    run.finish("finished")
    page = Page((run.folder / "report.html").read_text())
    assert "30 patches of 12 × 16 × 16 and 13 patches of 218 × 32 × 32" in page.one("p", class_="lede").text
    text = " ".join(tag.text for tag in page.all("figcaption"))
    for title in ("Loss part: spectral angle, rad", "PSNR of masked values, validation, dB", "MSE of masked values"):
        assert title in text, text
    assert "PSNR of masked values17.5dB, epoch 1" in page.one("dl", class_="numbers").text
    head = [tag.text for tag in page.all("th", scope="col")]
    assert head[2:6] == ["loss_train", "loss_valid", "loss_sam_train", "loss_sam_valid"] and "lr" in head


def test_the_options_of_a_resumed_run_keep_their_first_origin(tmp_path):
    path = tmp_path / "abc" / "config.yaml"
    path.parent.mkdir()
    lines = [
        f"recipe: mae  # {path}:1, which had it from command line",
        "seed: 1  # /x/other/config.yaml:2, which had it from default",
        "lr: 2  # opts.json:3",
    ]
    path.write_text("\n".join(lines) + "\n")
    origins = [option.origin for option in read_options(path)]
    assert origins == ["command line", "/x/other/config.yaml:2, which had it from default", "opts.json:3"]
