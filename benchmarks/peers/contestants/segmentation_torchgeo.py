"""Segmentation by TorchGeo's SemanticSegmentationTask under Lightning's Trainer.

"memory": patches from memory. "geotiff": random chips of the scenes, by RasterDataset, IntersectionDataset and
RandomGeoSampler, as its tutorials have it; other samples than the patches, of the same scenes.
"""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

from leg import Clock, end, options, shapes
from segmentation_data import arrays, quality


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch
    from lightning.pytorch import Callback, Trainer
    from torch.utils.data import DataLoader
    from torchgeo.trainers import SemanticSegmentationTask

    warnings.filterwarnings("ignore")
    torch.set_num_threads(given["threads"])
    torch.manual_seed(given["seed"])
    clock = Clock(given["batch"], given["warm"], given["steps"])
    data = given["data"]

    class Loader(DataLoader):
        def __iter__(self):
            return clock.waiting(super().__iter__())

    class Steps(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            clock.step()

    class Task(SemanticSegmentationTask):
        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, clock.total)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    more = {"num_workers": given["workers"], "persistent_workers": given["workers"] > 0}
    if given["feed"] == "geotiff":
        loader = geotiff(data, given["batch"], clock.total, Loader, more)
    else:
        loader = Loader(from_memory(data), given["batch"], shuffle=True, drop_last=True, **more)
    task = Task("unet", "resnet18", in_channels=data["bands"], num_classes=data["labels"], ignore_index=255)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_steps=clock.total,
            max_epochs=-1,
            callbacks=[Steps()],
            default_root_dir=folder,
            log_every_n_steps=10,
        )
        trainer.fit(task, datamodule=module(loader, data))
    found = clock.figures() | {"shapes": shapes(task.model)}
    return found | (quality(task.model, data) if given["quality"] else {})


def module(loader: Any, data: dict[str, Any]) -> Any:
    """Return a data module that standardises, flips and turns whole batches by kornia, as TorchGeo's own do."""
    import kornia.augmentation as K
    import torch
    from torchgeo.datamodules import BaseDataModule

    class Module(BaseDataModule):
        mean, std = (torch.tensor(data[name], dtype=torch.float32) for name in ("mean", "std"))

        def __init__(self) -> None:
            super().__init__(None)
            self.train_aug = K.AugmentationSequential(
                K.Normalize(mean=self.mean, std=self.std),
                K.RandomHorizontalFlip(),
                K.RandomVerticalFlip(),
                K.RandomRotation90((0, 3), p=1.0),
                data_keys=None,
                keepdim=True,
            )

        def setup(self, stage: str) -> None:
            pass

        def train_dataloader(self) -> Any:
            return loader

        def transfer_batch_to_device(self, batch: Any, *rest: Any) -> Any:
            for key in ("crs", "bounds"):
                batch.pop(key, None)
            return super().transfer_batch_to_device(batch, *rest)

    return Module()


def from_memory(data: dict[str, Any]) -> Any:
    import torch

    images, masks = (torch.from_numpy(one) for one in arrays(data, "train"))

    class Patches(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"image": images[index].float(), "mask": masks[index].long()}

    return Patches()


def geotiff(data: dict[str, Any], batch: int, steps: int, loader: Any, more: dict[str, Any]) -> Any:
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import RandomGeoSampler

    class Mask(RasterDataset):
        is_image = False
        filename_glob = "*.tif"

    class Image(RasterDataset):
        filename_glob = "*.tif"

    first, second = (Image(path) for path in data["scenes"]["images"])
    dataset = first & second & Mask(data["scenes"]["mask"])
    sampler = RandomGeoSampler(dataset, size=64, length=batch * steps)
    return loader(dataset, batch, sampler=sampler, collate_fn=stack_samples, **more)


if __name__ == "__main__":
    end(main(options()))
