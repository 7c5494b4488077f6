"""SimCLR as lightly's own example has it: its views of one image after another, its head and loss, a plain loop."""

from __future__ import annotations

from typing import Any

from leg import Clock, end, options, shapes
from simclr_data import images, quality


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch
    import torchvision
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms.multi_view_transform import MultiViewTransform
    from torch.utils.data import DataLoader

    torch.set_num_threads(given["threads"])
    torch.manual_seed(given["seed"])
    clock = Clock(given["batch"], given["warm"], given["steps"])
    view = one_view()
    two_views = MultiViewTransform([view, view])
    pictures = torch.from_numpy(images(given["data"], "train"))

    class Views(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, index: int) -> list[torch.Tensor]:
            return two_views(pictures[index])

    loader = DataLoader(
        Views(),
        given["batch"],
        shuffle=True,
        drop_last=True,
        num_workers=given["workers"],
        persistent_workers=given["workers"] > 0,
    )
    encoder = torchvision.models.resnet18(weights=None)
    encoder.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    encoder.fc = torch.nn.Identity()
    if given.get("channels_last"):
        encoder.to(memory_format=torch.channels_last)
    head = SimCLRProjectionHead(512, 512, 128, num_layers=2, batch_norm=False)
    criterion = NTXentLoss(temperature=0.07)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, clock.total)
    while clock.done < clock.total:
        for first, second in clock.waiting(loader):
            loss = criterion(head(encoder(first)), head(encoder(second)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            clock.step()
            if clock.done == clock.total:
                break
    found = clock.figures() | {"shapes": shapes(encoder)}
    return found | ({"r2": quality(encoder, given["data"])} if given["quality"] else {})


def one_view() -> Any:
    """Flips, any angle, a window of 40 px whose centre moves by up to 5 px, zoomed to 64; the mean removed."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomRotation(180, v2.InterpolationMode.BILINEAR),
            v2.CenterCrop(50),
            v2.RandomCrop(40),
            v2.Resize(64, antialias=False),
            v2.Lambda(lambda image: image - image.mean()),
        ]
    )


if __name__ == "__main__":
    end(main(options()))
