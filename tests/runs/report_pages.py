"""Runs to write a page of, and a page's elements, checked to be well formed."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
from matplotlib.figure import Figure

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

    def headings(self):
        return [(int(tag.name[1]), tag.text) for tag in self.tags if tag.name in ("h1", "h2", "h3", "h4")]

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
