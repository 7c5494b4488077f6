"""SimCLR by TorchGeo's SimCLRTask under Lightning's Trainer; views by kornia in one affine warp of the batch.

The optimiser is replaced (the task's own is LARS), and the batch norm of its head cannot be switched off.
"""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

from leg import Clock, end, options, shapes
from simclr_data import images, quality


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch
    from lightning.pytorch import Callback, Trainer
    from torch.utils.data import DataLoader
    from torchgeo.trainers import SimCLRTask

    warnings.filterwarnings("ignore")
    torch.set_num_threads(given["threads"])
    torch.manual_seed(given["seed"])
    clock = Clock(given["batch"], given["warm"], given["steps"])
    pictures = torch.from_numpy(images(given["data"], "train"))

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"image": pictures[index]}

    class Loader(DataLoader):
        def __iter__(self):
            return clock.waiting(super().__iter__())

    class Task(SimCLRTask):
        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, clock.total)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    class Steps(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            clock.step()

    task = Task(
        "resnet18", in_channels=1, version=1, layers=2, output_dim=128, memory_bank_size=0, augmentations=view()
    )
    loader = Loader(Images(), given["batch"], shuffle=True, drop_last=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_steps=clock.total,
            max_epochs=-1,
            callbacks=[Steps()],
            default_root_dir=folder,
            log_every_n_steps=10,
        )
        trainer.fit(task, loader)
    found = clock.figures() | {"shapes": shapes(task.backbone)}
    return found | ({"r2": quality(task.backbone, given["data"])} if given["quality"] else {})


def view() -> Any:
    """The same moves as one affine map: flips, any angle, zoom by 64/40, centre moved by up to 5 px; mean removed."""
    import kornia.augmentation as K
    import torch

    class Demean(torch.nn.Module):
        def forward(self, image):
            return image - image.mean((1, 2, 3), keepdim=True)

    moves = K.AugmentationSequential(
        K.RandomHorizontalFlip(),
        K.RandomVerticalFlip(),
        K.RandomAffine(180, translate=(8 / 64, 8 / 64), scale=(1.6, 1.6), padding_mode="reflection", p=1.0),
        data_keys=["input"],
    )
    return torch.nn.Sequential(moves, Demean())


if __name__ == "__main__":
    end(main(options()))
