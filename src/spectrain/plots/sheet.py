"""What the sheets of pictures are made of: places in inches, colour bars, names of rows."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

LETTER = 0.0085
"""Inches that a letter of one point is wide, about."""


class Sheet:
    """A figure without global state whose parts have their places in inches, from its upper left corner.

    matplotlib's own layout would measure the words of every picture and draw all of them twice: half of the time that
    a sheet takes.

    Args:
        width: in inches.
        height: in inches.
        dpi: dots per inch.
        save_format: "png", "pdf" or "svg": what ``savefig`` writes where the file's name does not say.

    Attributes:
        figure: it is no pyplot figure, so it need not be closed, and no display is needed.
    """

    def __init__(self, width: float, height: float, *, dpi: int, save_format: str = "png") -> None:
        self.figure = Figure(figsize=(width, height), dpi=dpi)
        get_registered_canvas_class(save_format)(self.figure)
        self._width, self._height = width, height

    def without_images(self) -> Figure:
        """Return the figure, which says that there is none."""
        self.figure.text(0.5, 0.5, "no images", ha="center", va="center")
        return self.figure

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes in a place."""
        bottom = self._height - top - height
        place = (left / self._width, bottom / self._height, width / self._width, height / self._height)
        axes: Axes = self.figure.add_axes(place)
        return axes

    def picture(self, left: float, top: float, width: float, height: float, values: Any, **options: Any) -> Axes:
        """Show values [H,W] or colours [H,W,3] pixel by pixel in a place, as large as their shape allows.

        Args:
            left: of the place.
            top: of the place.
            width: of the place.
            height: of the place.
            values: what `Axes.imshow` takes.
            options: of `Axes.imshow`.
        """
        axes = self.axes(left, top, width, height)
        axes.axis("off")
        axes.imshow(values, interpolation="nearest", **options)
        return axes

    def bar(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        scale: ScalarMappable,
        label: str = "",
        *,
        ticks: int = 4,
        size: float = 8,
        extend: str = "neither",
    ) -> Axes:
        """Draw the bar of a colour map along the longer side of a place; its numbers and words stand beside that.

        Args:
            left: of the place.
            top: of the place.
            width: of the place.
            height: of the place.
            scale: norm and colour map.
            label: name and unit; cut where it is longer than the bar and a fifth.
            ticks: at most, roughly.
            size: of the words, in points.
            extend: "both" where values may lie beyond the ends.
        """
        lying = width > height
        bar = self.figure.colorbar(
            scale,
            cax=self.axes(left, top, width, height),
            orientation="horizontal" if lying else "vertical",
            extend=extend,
        )
        bar.ax.locator_params(nbins=ticks)
        bar.ax.tick_params(labelsize=size)
        letters = int(1.2 * max(width, height) / (LETTER * size))
        bar.set_label(label if len(label) <= letters else f"{label[: letters - 1]}…", fontsize=size)
        bar.outline.set_visible(False)
        return bar.ax


def height_of(image: NDArray[Any], side: float) -> float:
    """Return how high the place of an image [...,H,W] is that is ``side`` wide; a strip's is no line and no tower."""
    height, width = map(int, image.shape[-2:])
    return side * min(max(height / width, 0.25), 1.5)


def name_row(axes: Axes, name: str, size: float = 9) -> None:
    """Write a name at the left of a row's first picture, upwards."""
    axes.text(-0.06, 0.5, name, transform=axes.transAxes, rotation=90, va="center", ha="right", fontsize=size)
