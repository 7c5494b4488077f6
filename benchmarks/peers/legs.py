"""What is compared: the contestants of each leg, what they are given, and which figures the table shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from figures import Column
from rounds import Contestant

import data

Options = dict[str, Any]
SPECTRAIN = "spectrain"

SPEED = (
    Column("samples_per_s", "samples/s", "high"),
    Column("cpu_ms", "CPU ms a sample", "low"),
    Column("wait_share", "share waiting for data"),
    Column("peak_mib", "peak memory, MiB", "low"),
    Column("first_step_s", "first step after s", "low"),
    Column("whole_s", "whole process, s", "low"),
)
LOADED = (
    Column("samples_per_s", "samples/s", "high"),
    Column("cpu_ms", "CPU ms a sample", "low"),
    Column("peak_mib", "peak memory, MiB", "low"),
)


@dataclass(frozen=True)
class Leg:
    """One comparison.

    Args:
        about: what is done, and where the contestants differ; a paragraph of the page.
        contestants: the first is the reference.
        columns: of the table.
        given: returns what all of them get; None where the data are not here.
        rounds: how often they run; None for as many as the driver is told.
        seeds: each round has another seed.
        alike: all ``shapes`` that the contestants tell must be the same.
        by_name: only measured where it is named: it takes long, and says nothing about speed.
    """

    about: str
    contestants: Sequence[Contestant]
    columns: Sequence[Column]
    given: Callable[[], Options | None] = field(default=lambda: {"threads": 2})
    rounds: int | None = None
    seeds: bool = False
    alike: bool = False
    by_name: bool = False


def simclr(**more: Any) -> Options:
    return {"threads": 2, "batch": 32, "warm": 4, "steps": 20, "images": 387, "quality": False, "workers": 0} | {
        "data": data.sst(),
        **more,
    }


def segmentation(**more: Any) -> Options | None:
    found = data.barkbeetle()
    if found is None:
        return None
    common = {"threads": 2, "batch": 16, "warm": 4, "steps": 12, "images": found["counts"]["train"], "workers": 0}
    return common | {"quality": False, "feed": "memory", "data": found, **more}


def loading() -> Options:
    return {"threads": 2, "batch": 16, "warm": 3, "seconds": 2, "workers": 0, "data": data.scene()}


def views(moves: str, shape: list[int], masks: bool = False) -> Callable[[], Options]:
    return lambda: {
        "threads": 1,
        "warm": 5,
        "seconds": 2,
        "moves": moves,
        "shape": shape,
        "masks": masks,
        "form": "one",
    }


def imports(module: str, ours: bool = False) -> Contestant:
    return Contestant(f"import {module}", ("python", "-c", f"import {module}"), ours)


LEGS: dict[str, Leg] = {
    "simclr": Leg(
        "SimCLR of sea-surface temperature (387 images of 64×64×1 in the repository), ResNet-18 with the large stem, "
        "batches of 32 with two views: flips, any angle, a window of 40 px whose centre moves by up to 5 px, zoomed to "
        "64, mean removed. AdamW, cosine, temperature 0.07, float32, no validation. spectrain reads the file (gzip) "
        "through its loader and knows what is missing (land: 0.6 % of the pixels, in 17 % of the images); the others "
        "have all images in memory, what is missing filled with the image's mean. TorchGeo's views are one affine warp "
        "of the batch by kornia, lightly's one operator after another on each image (torchvision). The encoders' state "
        "dicts have the same shapes (asserted); the head is 512-512-128, with a batch norm in TorchGeo's, which has no "
        "option without. TorchGeo's task takes LARS by default; it was given AdamW.",
        (
            Contestant(SPECTRAIN, "simclr_spectrain", ours=True),
            Contestant("TorchGeo SimCLRTask", "simclr_torchgeo"),
            Contestant("lightly, plain loop", "simclr_lightly"),
            Contestant("lightly, 2 workers", "simclr_lightly", options={"workers": 2}),
            Contestant("lightly, channels last by hand", "simclr_lightly", options={"channels_last": True}),
        ),
        SPEED,
        simclr,
        alike=True,
    ),
    "segmentation": Leg(
        "Segmentation of bark-beetle damage (257 patches of 64×64, two dates of 12 Sentinel-2 bands), U-Net with "
        "ResNet-18 of segmentation-models-pytorch in all (same shapes, asserted), batches of 16, cross-entropy of "
        "three classes, flips and quarter turns, standardised by band, AdamW, cosine, float32, no validation. The "
        "GeoTIFF row reads random chips of the same scenes (RasterDataset, IntersectionDataset, RandomGeoSampler), the "
        ".npy rows one file a patch, the memory row has all patches in memory, spectrain maps its prepared patches.",
        (
            Contestant(SPECTRAIN, "segmentation_spectrain", ours=True),
            Contestant("TorchGeo, from memory", "segmentation_torchgeo"),
            Contestant("TorchGeo, GeoTIFF", "segmentation_torchgeo", options={"feed": "geotiff"}),
            Contestant(
                "TorchGeo, GeoTIFF, 2 workers", "segmentation_torchgeo", options={"feed": "geotiff", "workers": 2}
            ),
            Contestant("Lightning + smp, .npy", "segmentation_plain"),
            Contestant("Lightning + smp, .npy, 2 workers", "segmentation_plain", options={"workers": 2}),
            Contestant("Lightning + smp, channels last by hand", "segmentation_plain", options={"channels_last": True}),
        ),
        SPEED,
        segmentation,
        alike=True,
    ),
    "simclr_quality": Leg(
        "What the encoders of the leg simclr know after 6 epochs (72 steps) with each of five seeds: R² of the range "
        "of temperature (T90 - T10) in the 149 validation images, by the mean of the 20 nearest training images "
        "(cosine) in the pooled features of the images' middle. The same judge for all, by images that are filled as "
        "for those who have no mask.",
        (
            Contestant(SPECTRAIN, "simclr_spectrain", ours=True),
            Contestant("TorchGeo SimCLRTask", "simclr_torchgeo"),
            Contestant("lightly, plain loop", "simclr_lightly"),
        ),
        (Column("r2", "R² of T90 - T10", "high"),),
        lambda: simclr(quality=True, warm=12, steps=60),
        rounds=5,
        seeds=True,
        by_name=True,
    ),
    "segmentation_quality": Leg(
        "The leg segmentation for 8 epochs (128 steps) with each of five seeds, then IoU of the damaged class and "
        "mean IoU on the test split (other places), by the weights of the last step. The same judge for all.",
        (
            Contestant(SPECTRAIN, "segmentation_spectrain", ours=True),
            Contestant(
                "spectrain, its default loss",
                "segmentation_spectrain",
                ours=True,
                options={"words": ["loss.dice_weight=1"]},
            ),
            Contestant("TorchGeo, from memory", "segmentation_torchgeo"),
            Contestant("Lightning + smp, .npy", "segmentation_plain"),
        ),
        (
            Column("miou", "mIoU", "high"),
            Column("iou", "IoU of damage", "high"),
        ),
        lambda: segmentation(quality=True, warm=16, steps=112),
        rounds=5,
        seeds=True,
        by_name=True,
    ),
    "loading": Leg(
        "Data loading alone: float32 batches of 16 patches of 128×128×12 from one scene of 2048×2048 (uint16, "
        "synthetic fields with noise), no augmentation. TorchGeo reads random chips, xbatcher and spectrain patches of "
        "a grid in random order. The Zarr has chunks of 256×256. Preparing takes {prepare_s:.1f} s once for {patches} "
        "patches.",
        (
            Contestant(SPECTRAIN + ", prepared", "loading_spectrain", ours=True, options={"feed": "prepared"}),
            Contestant(SPECTRAIN + ", GeoTIFF (deflate)", "loading_spectrain", ours=True, options={"feed": "deflate"}),
            Contestant("TorchGeo, GeoTIFF (deflate)", "loading_torchgeo", options={"feed": "deflate"}),
            Contestant("TorchGeo, GeoTIFF (plain)", "loading_torchgeo", options={"feed": "plain"}),
            Contestant(
                "TorchGeo, GeoTIFF (plain), 2 workers", "loading_torchgeo", options={"feed": "plain", "workers": 2}
            ),
            Contestant("xarray + xbatcher, Zarr (zstd)", "loading_xbatcher", options={"feed": "zarr"}),
            Contestant("xarray + xbatcher, Zarr (plain)", "loading_xbatcher", options={"feed": "zarr_plain"}),
        ),
        LOADED,
        loading,
    ),
    "views": Leg(
        "Views of 64 images of 64×64×1, on one thread: the moves of the leg simclr. kornia once as one affine warp, "
        "once as one operator after another. The last column is the share of pixels that are missing in the view where "
        "a tenth of the image is missing in squares of 8 px (NaN to kornia, which has no mask of validity): more is "
        "lost to NaN at every pixel that touches a hole, and a mean over the image is NaN altogether.",
        (
            Contestant(SPECTRAIN, "augmentation_spectrain", ours=True),
            Contestant("kornia, one warp", "augmentation_kornia"),
            Contestant("kornia, chain", "augmentation_kornia", options={"form": "chain"}),
        ),
        (*LOADED, Column("missing", "missing in the view")),
        views("views", [64, 1, 64, 64]),
    ),
    "quarters": Leg(
        "Flips and quarter turns of 8 images of 256×256×12 and their masks, on one thread. Ours move bits; kornia's "
        "quarter turn interpolates, so that NaN spreads.",
        (
            Contestant(SPECTRAIN, "augmentation_spectrain", ours=True),
            Contestant("kornia", "augmentation_kornia"),
        ),
        (*LOADED, Column("missing", "missing in the view")),
        views("quarters", [8, 12, 256, 256], masks=True),
    ),
    "affine": Leg(
        "Flips and any angle (one interpolation) of 8 images of 256×256×12 and their masks, on one thread.",
        (
            Contestant(SPECTRAIN, "augmentation_spectrain", ours=True),
            Contestant("kornia", "augmentation_kornia"),
        ),
        (*LOADED, Column("missing", "missing in the view")),
        views("affine", [8, 12, 256, 256], masks=True),
    ),
    "sweep": Leg(
        "A search of the learning rate: 5 trials of two folds of one epoch (2 steps of 8 images of 32×32×2, U-Net with "
        "ResNet-18). Plain Optuna is a study in SQLite and an objective in one process that keeps nothing but the "
        "score; each of ours is a run with folder, curves, checkpoints and page. Time from one trial's end to the "
        "next.",
        (
            Contestant(SPECTRAIN + " sweep", "sweep_spectrain", ours=True),
            Contestant("plain Optuna", "sweep_optuna"),
        ),
        (
            Column("trial_s", "s a trial", "low"),
            Column("first_trial_s", "first trial after s", "low"),
            Column("peak_mib", "peak memory, MiB", "low"),
        ),
        lambda: {"threads": 2, "epochs": 1, "trials": 5},
    ),
    "sweep_killed": Leg(
        "The same with 4 epochs and 3 trials; the runner is killed (SIGKILL) in the second fold of its second trial, "
        "and the same command is given again. Wanted: three complete trials, none left running for ever, and nothing "
        "trained twice but what was not yet finished (half a fold).",
        (
            Contestant(SPECTRAIN + " sweep", "sweep_killed", ours=True, options={"by": "spectrain"}),
            Contestant("plain Optuna", "sweep_killed", options={"by": "optuna"}),
        ),
        (
            Column("complete", "trials complete"),
            Column("running", "left running for ever"),
            Column("repeated", "folds trained in vain"),
        ),
        lambda: {"threads": 2, "epochs": 4, "trials": 3},
        rounds=1,
    ),
    "startup": Leg(
        "Whole processes. What a command imports before it answers, and what its help costs; the time to the first "
        "step stands in the legs above.",
        (
            Contestant("spectrain --help", ("python", "-m", "spectrain", "--help"), ours=True),
            Contestant("torchgeo --help", ("torchgeo", "--help")),
            Contestant("lightly-ssl-train --help", ("lightly-ssl-train", "--help")),
            Contestant("optuna --help", ("optuna", "--help")),
            imports("spectrain", ours=True),
            Contestant(
                "import of all that spectrain trains with",
                ("python", "-c", "import spectrain; spectrain.train, spectrain.Key, spectrain.test"),
                ours=True,
            ),
            imports("torch"),
            imports("torchgeo.trainers"),
            imports("lightly.loss, lightly.transforms, torchvision"),
            imports("lightning, segmentation_models_pytorch"),
            imports("kornia.augmentation"),
            imports("xarray, xbatcher"),
        ),
        (
            Column("whole_s", "s", "low", compared=False),
            Column("cpu_s", "CPU s", "low", compared=False),
            Column("peak_mib", "memory, MiB", "low", compared=False),
        ),
    ),
}
