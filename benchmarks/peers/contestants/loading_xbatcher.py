"""Batches of patches of a Zarr array by xarray and xbatcher in a DataLoader, shuffled; the patches lie on a grid."""

from __future__ import annotations

import itertools
from typing import Any

from leg import end, options, rate


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch
    import xarray
    import xbatcher
    from torch.utils.data import DataLoader
    from xbatcher.loaders.torch import MapDataset

    torch.set_num_threads(given["threads"])
    data = given["data"]
    cube = xarray.open_zarr(f"{data['folder']}/{given['feed']}", consolidated=False, chunks=None)["image"]
    side = data["side"]
    generator = xbatcher.BatchGenerator(cube, {"band": cube.sizes["band"], "y": side, "x": side})
    loader = DataLoader(MapDataset(generator), given["batch"], shuffle=True, drop_last=True)
    batches = (batch.float() for _ in itertools.count() for batch in loader)
    return rate(batches, given["batch"], given["warm"], given["seconds"])


if __name__ == "__main__":
    end(main(options()))
