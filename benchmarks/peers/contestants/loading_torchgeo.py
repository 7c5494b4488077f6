"""Batches of random chips of a GeoTIFF by TorchGeo's RasterDataset and RandomGeoSampler in a DataLoader."""

from __future__ import annotations

import warnings
from typing import Any

from leg import end, options, rate


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import RandomGeoSampler

    warnings.filterwarnings("ignore")
    torch.set_num_threads(given["threads"])
    data = given["data"]

    class Scene(RasterDataset):
        filename_glob = "*.tif"

    dataset = Scene(f"{data['folder']}/{given['feed']}")
    sampler = RandomGeoSampler(dataset, size=data["side"], length=10**6)
    loader = DataLoader(
        dataset, given["batch"], sampler=sampler, collate_fn=stack_samples, num_workers=given["workers"]
    )
    return rate((batch["image"] for batch in loader), given["batch"], given["warm"], given["seconds"])


if __name__ == "__main__":
    end(main(options()))
