"""Batches in float32 from prepared patches, or from windows of the GeoTIFF as it is, by the package's own loader."""

from __future__ import annotations

import itertools
from typing import Any

from leg import end, options, rate


def main(given: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import torch

    import spectrain
    from spectrain.config.schema import DatasetOptions
    from spectrain.data.loader import Loader
    from spectrain.data.order import TrainOrder
    from spectrain.data.values import Values

    torch.set_num_threads(given["threads"])
    data = given["data"]
    if given["feed"] == "prepared":
        patches = spectrain.open_patches(data["prepared"], "train")
    else:
        whole = DatasetOptions(window=data["side"], valid_fraction=0.0)
        patches = spectrain.open_patches(f"{data['folder']}/{given['feed']}", "train", whole)
    order = TrainOrder(len(patches), given["batch"])
    values = Values(patches.bands)

    def batches():
        with Loader(patches) as loader:
            for epoch in itertools.count():
                for raw in loader.load(np.asarray(step[0]) for step in order.steps(epoch)):
                    image = values(raw).image
                    assert image.dtype == torch.float32
                    yield image

    return rate(batches(), given["batch"], given["warm"], given["seconds"])


if __name__ == "__main__":
    end(main(options()))
