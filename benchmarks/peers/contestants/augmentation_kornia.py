"""Views of a batch by kornia: "one" makes them by one affine warp, "chain" by one operator after another."""

from __future__ import annotations

import itertools
from typing import Any

from augmentation_data import holes, images
from leg import end, options, rate


def main(given: dict[str, Any]) -> dict[str, Any]:
    import kornia.augmentation as K
    import torch

    torch.set_num_threads(given["threads"])
    torch.manual_seed(0)
    keys = ["input", "mask"] if given["masks"] else ["input"]
    augment = K.AugmentationSequential(*operators(given), data_keys=keys)
    image = images(given)
    masks = [torch.zeros(image.shape[0], 1, *image.shape[2:])] if given["masks"] else []

    def moved(image):
        with torch.no_grad():
            found = augment(image, *masks)
        return found[0] if masks else found

    def view(image):
        found = moved(image)
        return found - found.mean((1, 2, 3), keepdim=True) if given["moves"] == "views" else found

    found = rate((view(image) for _ in itertools.count()), len(image), given["warm"], given["seconds"])
    holed = image.masked_fill(holes(given), float("nan"))
    return found | {"missing": float(moved(holed).isnan().float().mean())}


def operators(given: dict[str, Any]) -> list[Any]:
    """Return the operators of the same moves."""
    import kornia.augmentation as K

    flips = [K.RandomHorizontalFlip(), K.RandomVerticalFlip()]
    if given["moves"] == "quarters":
        return [*flips, K.RandomRotation90((0, 3), p=1.0)]
    if given["moves"] == "affine":
        return [*flips, K.RandomAffine(180, padding_mode="reflection", p=1.0)]
    if given["form"] == "one":
        return [*flips, K.RandomAffine(180, (8 / 64, 8 / 64), (1.6, 1.6), padding_mode="reflection", p=1.0)]
    return [*flips, K.RandomRotation(180, p=1.0), K.CenterCrop(50), K.RandomCrop((40, 40)), K.Resize((64, 64))]


if __name__ == "__main__":
    end(main(options()))
