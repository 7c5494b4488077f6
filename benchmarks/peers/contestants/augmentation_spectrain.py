"""Views of a batch by the package's own warp."""

from __future__ import annotations

import itertools
from typing import Any

from augmentation_data import holes, images
from leg import end, options, rate

MOVES: dict[str, dict[str, Any]] = {
    "views": {"crop": 40, "jitter": 5, "demean": "image"},
    "affine": {},
    "quarters": {"dihedral": True},
}


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch

    from spectrain.augment.warp_augmentation import WarpAugmentation
    from spectrain.core.batch import Batch
    from spectrain.core.random import Key
    from spectrain.core.targets import ClassMap, NoTarget

    torch.set_num_threads(given["threads"])
    count, bands, height, width = given["shape"]
    warp = WarpAugmentation(WarpAugmentation.Config(**MOVES[given["moves"]]), bands)
    target = ClassMap(torch.zeros(count, height, width, dtype=torch.int16)) if given["masks"] else NoTarget()
    whole = torch.ones(1, 1, 1, 1, dtype=torch.bool).expand(given["shape"])
    index = torch.arange(count)

    def batch_of(image, valid, all_valid):
        return Batch(image=image, valid=valid, target=target, index=index, all_valid=all_valid)

    whole_batch = batch_of(images(given), whole, True)
    keys = (Key(0, "augment").at(epoch=number) for number in itertools.count())
    found = rate((warp(whole_batch, key) for key in keys), count, given["warm"], given["seconds"])
    missing = holes(given).expand(given["shape"])
    view = warp(batch_of(images(given).masked_fill(missing, float("nan")), ~missing, False), Key(0, "augment"))
    assert bool(view.image.isfinite().all())
    return found | {"missing": 1 - float(view.valid.float().mean())}


if __name__ == "__main__":
    end(main(options()))
