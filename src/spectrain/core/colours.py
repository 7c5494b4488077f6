"""Colours of classes, the same in pictures and in the colour tables of maps."""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

TWO: tuple[Colour, Colour] = ((222, 222, 222), (0, 115, 178))
"""Light grey for what is not looked for, blue for what is (Okabe and Ito)."""
STRONG: tuple[Colour, ...] = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
)  # fmt: skip
PALE: tuple[Colour, ...] = (
    (174, 199, 232), (255, 187, 120), (152, 223, 138), (255, 152, 150), (197, 176, 213),
    (196, 156, 148), (247, 182, 210), (199, 199, 199), (219, 219, 141), (158, 218, 229),
)  # fmt: skip
"""Ten hues, strong and pale: "tab20" of matplotlib, whose import would cost a map half a second."""


def class_colours(count: int) -> tuple[Colour, ...]:
    """Return a colour a class: well apart for up to twenty, then again from the first one."""
    table = (*STRONG, *PALE)
    return TWO if count == 2 else tuple(table[number % len(table)] for number in range(count))
