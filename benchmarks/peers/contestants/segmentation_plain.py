"""Segmentation by a LightningModule around segmentation-models-pytorch and a data set of .npy files."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

from leg import Clock, end, options, shapes
from segmentation_data import files, quality


def main(given: dict[str, Any]) -> dict[str, Any]:
    import lightning
    import segmentation_models_pytorch as smp
    import torch
    from torch.utils.data import DataLoader

    warnings.filterwarnings("ignore")
    torch.set_num_threads(given["threads"])
    torch.manual_seed(given["seed"])
    clock = Clock(given["batch"], given["warm"], given["steps"])
    data = given["data"]

    class Loader(DataLoader):
        def __iter__(self):
            return clock.waiting(super().__iter__())

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = smp.Unet("resnet18", encoder_weights=None, in_channels=data["bands"], classes=data["labels"])
            self.loss = torch.nn.CrossEntropyLoss(ignore_index=255)

        def training_step(self, batch, _):
            loss = self.loss(self.model(batch[0]), batch[1])
            self.log("loss_train", loss)
            return loss

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, clock.total)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

        def on_train_batch_end(self, *_: Any) -> None:
            clock.step()

    loader = Loader(
        patches(data),
        given["batch"],
        shuffle=True,
        drop_last=True,
        num_workers=given["workers"],
        persistent_workers=given["workers"] > 0,
    )
    module = Module()
    if given.get("channels_last"):  # torch then converts the images at the first layer
        module.to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu", max_steps=clock.total, max_epochs=-1, default_root_dir=folder, log_every_n_steps=10
        )
        trainer.fit(module, loader)
    found = clock.figures() | {"shapes": shapes(module.model)}
    return found | (quality(module.model, data) if given["quality"] else {})


def patches(data: dict[str, Any]) -> Any:
    """Return a data set that reads a patch, standardises it, and flips and turns it by chance."""
    import numpy as np
    import torch

    mean, std = (torch.tensor(data[name], dtype=torch.float32)[:, None, None] for name in ("mean", "std"))
    found = files(data, "train")

    class Patches(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(found)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            image, mask = (torch.from_numpy(np.load(path)) for path in found[index])
            flips, turns = torch.rand(2) < 0.5, int(torch.randint(4, (1,)))
            axes = [axis for axis, flip in zip((-1, -2), flips, strict=True) if flip]
            moved = (
                torch.rot90(one.flip(axes), turns, (-2, -1)) for one in ((image.float() - mean) / std, mask.long())
            )
            return tuple(one.contiguous() for one in moved)

    return Patches()


if __name__ == "__main__":
    end(main(options()))
