from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import Browser, chromium
from fake_config import FakeDataset, FakeGeneral
from matplotlib.figure import Figure

from spectrain.core.errors import RunError
from spectrain.runs.report import write_report
from spectrain.runs.report.html import Html, data_block, el
from spectrain.runs.report.options import Option, read_options
from spectrain.runs.report.pictures import spread
from spectrain.runs.report.subject import Picture
from spectrain.runs.run import Run

HOSTILE = """</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">&amp;'"`"""


@dataclass
class Tag:
    name: str
    attributes: dict
    text: str = ""


@dataclass
class Page(HTMLParser):
    """The page's elements, and that each is closed where it should be."""

    source: str
    tags: list[Tag] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.open = []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(Tag(tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "input", "br"}:
            self.open.append(self.tags[-1])

    def handle_endtag(self, tag):
        assert self.open.pop().name == tag

    def handle_data(self, data):
        for tag in self.open:
            tag.text += data

    def all(self, name, **attributes):
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [t for t in self.tags if t.name == name and wanted.items() <= t.attributes.items()]

    def one(self, name, **attributes):
        (found,) = self.all(name, **attributes)
        return found


def train(cfg, epochs=3, *, loss=lambda step: 1 / step, pictures=True, status="finished"):
    run = Run.create(cfg)
    for epoch in range(1, epochs + 1):
        for step in (2 * epoch - 1, 2 * epoch):
            run.log_interval(
                {"loss_train": loss(step), "lr": 0.1 / step, "samples_per_s": 100.0, "data_wait": 0.25},
                step=step,
                epoch=epoch,
            )
        row = {"loss_train": loss(2 * epoch), "lr": 0.1}
        if epoch % 2:
            row |= {"loss_valid": loss(2 * epoch) * 1.5, "iou_valid": epoch / 10}
        run.log_epoch(row, epoch=epoch, step=2 * epoch)
        if pictures:
            drawing = Figure(figsize=(1, 1))
            drawing.add_subplot().set_facecolor(["red", "green", "blue"][epoch % 3])
            run.picture("views", drawing, epoch=epoch)
    run.write_curves({"loss_step_train": np.array([loss(step) for step in range(1, 2 * epochs + 1)])})
    run.finish(status)
    return run


def page_of(run):
    return Page((run.folder / "report.html").read_text(encoding="utf-8"))


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
    assert not re.search(r"""(src|href)=["'](?!data:)""", source)
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
    assert next(image.attributes["alt"] for image in page.all("img")) == "Views, epoch 1"
    plots = page.all("div", role="img")
    assert "Loss over epoch. training: from 0.5 to 0.1667" in plots[0].attributes["aria-label"]
    assert all(plot.attributes["tabindex"] == "0" for plot in plots)
    assert all(cell.attributes.get("scope") in {"col", "row"} for cell in page.all("th"))


def test_charts_and_their_order(cfg):
    page = page_of(train(cfg))
    assert [title.text for title in page.all("h3")] == [
        "Loss",
        "IoU, validation",
        "Learning rate",
        "Speed, samples/s",
        "Time spent waiting for data, %",
        "Views",
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
    assert note == "6 values are not finite and left out"  # two epochs' means, one validation, three steps
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


def test_several_runs_side_by_side(cfg, tmp_path):
    runs = [train(cfg.but(general=FakeGeneral(seed=seed)), epochs) for seed, epochs in ((1, 3), (2, 2))]
    empty = Run.create(cfg.but(general=FakeGeneral(seed=5)))
    empty.finish("failed")
    path = write_report([run.folder for run in (*runs, empty)])
    assert path == empty.folder.parent / "report.html"
    page = Page(path.read_text())
    assert page.one("h1").text == "3 runs compared"
    assert [title.text for title in page.all("h3")][:3] == ["Loss, validation", "Loss, training", "IoU, validation"]
    table = page.all("table")[0].text
    for run in (*runs, empty):
        assert run.run_id in table
    assert len(page.all("figure", class_="pictures")) == 1
    assert [row.text for row in page.all("tr")][-1].startswith("general")
    again = write_report([runs[0].folder, runs[0].folder], tmp_path / "same.html")
    text = again.read_text()
    assert "The runs have the same options." in text
    assert "2 " + runs[0].run_name in text


def test_ten_runs_have_ten_looks(cfg):
    runs = [train(cfg, 1, pictures=False) for _ in range(10)]
    page = Page(write_report([run.folder for run in runs]).read_text())
    looks = [
        tag.attributes["class"] for tag in page.all("span") if tag.attributes.get("class", "").startswith("swatch")
    ]
    assert len(set(looks)) == 10


def test_what_cannot_be_reported_is_an_error(cfg, tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        write_report([tmp_path])
    with pytest.raises(ValueError, match="no run folder"):
        write_report([])
    run = train(cfg, 1)
    (run.folder / "curves.h5").write_bytes(b"damaged")
    (run.folder / "config.yaml").unlink()
    assert write_report([run.folder], tmp_path / "out.html") == tmp_path / "out.html"


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
@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast(cfg, browser, dark):
    browser.open(train(cfg).folder / "report.html", dark=dark)
    colours = browser.evaluate("""(() => {
      const probe = document.body.appendChild(document.createElement("i"));
      const names = ["paper", "ink", "soft", "accent", "good", ...[0, 1, 2, 3, 4, 5, 6, 7].map(n => "run" + n)];
      return Object.fromEntries(names.map(name => {
        probe.style.color = `var(--${name})`;
        return [name, getComputedStyle(probe).color.match(/\\d+/g).map(Number)];
      }));
    })()""")

    def luminance(colour):
        channels = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(channels, [0.2126, 0.7152, 0.0722]))

    paper = luminance(colours.pop("paper"))
    for name, colour in colours.items():  # WCAG 2.2, 1.4.3: 4.5 to 1
        low, high = sorted((paper, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


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
