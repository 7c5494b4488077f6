"""The options that every training has, and the typed tree that they and the chosen parts form.

This module imports nothing heavy: help and the page of options are made from it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..core.registry import lookup
from .interval import PATTERN, Interval
from .option import option

GROUPS = ("task", "model", "loss", "optimizer", "scheduler", "augmentation", "metric", "show_prediction")
"""The groups whose choice is a part, built from the registry; `dataset` is a group of options without a part."""


Transform = Literal["none", "log10", "log10_reflectance"]


FoldMethod = Literal["given", "group", "block", "random", "published"]


@dataclass(frozen=True)
class DatasetOptions:
    """Where the images are and how their stored values are to be read."""

    path: str | list[str] | None = option(None, "file or folder of the data, or a list of them")
    train_key: str = option("train", "split that is trained on: the dataset's key, the group or the subfolder")
    valid_key: str | None = option("valid", "split that is validated on; null trains without validation")
    fold: Literal["all"] | int | None = option(
        None,
        "fold of splits.json; null takes its given splits; all trains on every fold's patches, with valid_key=null",
        minimum=0,
    )
    folds: int | None = option(
        None, "folds of cross-validation; null is as many as are given, or 5 where they are drawn", minimum=2
    )
    fold_method: FoldMethod = option(
        "given",
        "folds of splits.json (given), or drawn: whole groups, squares on the ground, patches; published is not drawn",
    )
    block_m: float | None = option(None, "side in m of the squares of fold_method=block", above=0)
    buffer_m: float = option(
        0.0, "patches nearer than this to what a drawn fold holds out are not trained on", minimum=0
    )
    splits: str | None = option(None, "splits file; null looks for splits.json beside the data")
    mask_key: str | None = option(None, "dataset of the mask; null is SPLIT_mask")
    labels_path: str | None = option(
        None, "folder of .npy or GeoTIFF labels of the names of the images in dataset.path; null is beside the images"
    )
    label_kind: Literal["auto", "values"] = option(
        "auto",
        "what GeoTIFF labels are: values (nodata is NaN, scale and offset count), or as they are stored",
    )
    npy_axes: Literal["auto", "chw", "hwc"] = option(
        "auto", "where the channels of .npy images are; auto is the smallest axis, or what the labels tell"
    )
    labels_key: str | None = option(None, "dataset of the labels; null is SPLIT_labels")
    bands: list[str] | None = option(None, "names of the bands to take, in this order; null takes all as stored")
    wavelengths: str | list[float] | None = option(
        None, "wavelengths of the bands in nm: a list, or a CSV table of them; null is what the data say"
    )
    transform: Transform | list[Transform] = option(
        "none", "transform of the physical values, one for all bands or one each"
    )
    scale: float | list[float] | None = option(None, "factor from stored to physical values, if the file is wrong")
    offset: float | list[float] | None = option(None, "summand from stored to physical values, if the file is wrong")
    nodata: float | list[float] | None = option(
        None, "stored value that means missing, if the file is wrong", finite=False
    )
    window: int | None = option(
        None,
        "side in px of the windows that cubes and rasters are cut into; null is the whole of those of one size",
        minimum=1,
    )
    stride: int | None = option(None, "px from one window to the next; null is the window: none overlap", minimum=1)
    cube_key: str | None = option(
        None, "dataset of the cube in files that hold one each; null looks for /Cube/Images and cube"
    )
    group: str | None = option(
        None, "column of who or where an image is of, never torn apart by a split; null looks for a participant"
    )
    valid_fraction: float = option(0.1, "share for validation where the data name no splits", minimum=0, maximum=0.9)
    test_fraction: float = option(0.0, "share kept for testing where the data name no splits", minimum=0, maximum=0.9)
    split_seed: int = option(0, "seed of the draw of groups where the data name no splits", minimum=0)
    load_rgb: bool = option(True, "read the RGB pictures that a CSV names, where a plot needs them")

    @property
    def places(self) -> list[Path]:
        """The data sets that `path` names, with ``~`` expanded; none where it names none."""
        given = [self.path] if isinstance(self.path, str) else self.path or []
        return [Path(one).expanduser() for one in given]


@dataclass(frozen=True)
class Hparams:
    """The course of a training."""

    epochs: int = option(100, "passes over the training split", minimum=1)
    batch_size: int = option(32, "images in a micro-batch, on each process", minimum=1)
    batch_size_valid: int | None = option(None, "images in a validation batch; null is batch_size", minimum=1)
    valid_interval: int = option(1, "validate every so many epochs", minimum=1)
    save_freq: int | None = option(
        None,
        "keep a checkpoint every so many epochs; 0 keeps last and best; null is 1 with all_checkpoint_dir, else 0",
        minimum=0,
    )
    checkpoint_every: int | str = option(
        "10min", "write last.pt every so many steps (500) or so often (10min, 30s)", pattern=PATTERN, minimum=1
    )
    log_every: int = option(10, "log every so many optimiser steps", minimum=1)
    accumulate_grad_batches: int = option(1, "micro-batches in an optimiser step", minimum=1)
    gradient_clipping: float = option(0.0, "largest norm of the gradient; 0 does not clip", minimum=0)
    overfit_batches: int = option(0, "train and validate on this many batches only; 0 is off", minimum=0)
    monitor: str = option("loss_valid", "metric that decides which checkpoint is best")
    monitor_mode: Literal["min", "max"] = option("min", "whether a small or a large value is good")
    early_stopping_patience: int = option(0, "stop after so many validations without improvement; 0 is off", minimum=0)
    test_at_end: bool = option(False, "test the best model on the splits kept for it when the training ends")
    skip_training: bool = option(False, "train nothing: test the run in out_dir, or the weights of model.init_from")
    plot_interval: int = option(1, "draw a picture every so many validations, and of the last; 0 draws none", minimum=0)

    @property
    def checkpoint_interval(self) -> Interval:
        """`checkpoint_every` as steps or seconds."""
        return Interval.parse(self.checkpoint_every)

    @property
    def evaluation_batch_size(self) -> int:
        """Images at once where nothing is learned: `batch_size_valid`, else `batch_size`."""
        return self.batch_size_valid or self.batch_size


@dataclass(frozen=True)
class General:
    """The machine, and what is written down about the run."""

    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**63 - 1)
    device: str | int = option(
        "auto", "auto, cpu, cuda, or the number of a GPU", pattern=r"auto|cpu|cuda(:\d+)?|\d+", minimum=0
    )
    device_ids: list[int] = option([], "GPUs to train on, one process each; empty is general.device alone", minimum=0)
    num_workers: int = option(0, "processes that read data; 0 reads in one thread beside the training", minimum=0)
    use_amp: Literal["auto"] | bool = option("auto", "bfloat16 arithmetic; auto is on for GPUs only")
    compile: Literal["auto"] | bool = option("auto", "torch.compile; auto is on for GPUs only")
    sync_batchnorm: bool = option(True, "batch norm over all processes and micro-batches of a step")
    recompute: bool = option(False, "compute blocks again in backward, for memory")
    channels_last: bool = option(True, "memory format of images and convolutions")
    parallel: Literal["auto", "ddp", "fsdp"] = option("auto", "how several processes share a model; auto is ddp")
    threads: int = option(0, "threads of one process; 0 leaves torch's default", minimum=0)
    debug: bool = option(False, "debug log, anomaly detection, two batches an epoch, two epochs")
    profile: bool = option(False, "write a torch.profiler trace")
    notes: str = option("", "free text, kept in run.json")
    experiment_name: str | None = option(None, "name of the experiment for the trackers")


@dataclass(frozen=True)
class Mlflow:
    """The MLflow tracker."""

    experiment_name: str | None = option(
        None, "experiment; null is general.experiment_name, then the model's size or the recipe"
    )
    run_name: str | None = option(None, "name of the run there; null is run_name, or the model's size and the date")
    tags: dict[str, str] = option({}, "open: mlflow.tags.ANY=text")
    parent: str | None = option(None, "run that this one is part of, by its name; made where there is none")
    tracking_uri: str | None = option(None, "store; null is the local one where the training started")
    log_model: bool = option(True, "keep the best checkpoint there when the run ends; it is as large as the model")


@dataclass(frozen=True)
class Wandb:
    """The Weights & Biases tracker."""

    project: str | None = option(None, "project; null is general.experiment_name, then the model's size or the recipe")
    entity: str | None = option(None, "user or team")
    group: str | None = option(None, "group of runs; null is run_name")
    mode: Literal["offline", "online", "key", "disabled"] = option(
        "offline", "offline needs no account and no internet; key is online where WANDB_API_KEY is set, else nothing"
    )


@dataclass(frozen=True)
class Tensorboard:
    """The TensorBoard tracker."""

    folder: str = option("log", "folder of the event files, within the run's folder")


@dataclass(frozen=True)
class TopLevel:
    """The options without a section: where runs are kept and what they are called."""

    trackers: list[Literal["tensorboard", "mlflow", "wandb"]] = option([], "trackers beside the files of the run")
    artifact_dir: str = option("runs", "folder of all runs")
    run_name: str | None = option(None, "name of the run, for runs of equal settings; null makes one")
    run_id: str | None = option(None, "id of the run within its name; null makes one")
    trial_name: str | None = option(None, "trial that the run belongs to; changes the folder to TRIAL/NAME-ID")
    out_dir: str | None = option(None, "folder that is to be the run's own, whatever its names")
    all_checkpoint_dir: str | None = option(None, "folder for the checkpoints of save_freq; null is the run's own")


SECTIONS: dict[str, type] = {
    "dataset": DatasetOptions,
    "hparams": Hparams,
    "general": General,
    "mlflow": Mlflow,
    "wandb": Wandb,
    "tensorboard": Tensorboard,
}
"""The sections of scalar options, in the order of the page."""


@dataclass(frozen=True)
class Part:
    """A chosen part: its group, its name there, and its options (an instance of the part's ``Config``)."""

    group: str
    name: str
    options: Any

    def build(self, **context: Any) -> Any:
        """Return the part, built by its ``from_config(options, **context)``."""
        return lookup(self.group, self.name).from_config(self.options, **context)

    def __getattr__(self, attribute: str) -> Any:
        """Fall through to the options, so that ``cfg.optimizer.lr`` reads as it is written."""
        if attribute.startswith("__") or attribute == "options":
            raise AttributeError(attribute)
        return getattr(self.options, attribute)

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the options as plain values."""
        return {"name": self.name, **asdict(self.options)}


@dataclass(frozen=True)
class Config(TopLevel):
    """The whole resolved configuration of a training; nothing in it changes any more.

    Attributes:
        recipe: the recipe it began from.
        origins: for each key, where its value was written: "opts.json:12", "command line", "recipe contrastive".
        left_alone: keys that were given and accepted without effect here, and where (another command's, or of a part
            that a later choice replaced).
    """

    recipe: str = ""
    dataset: DatasetOptions = field(default_factory=DatasetOptions)
    hparams: Hparams = field(default_factory=Hparams)
    general: General = field(default_factory=General)
    mlflow: Mlflow = field(default_factory=Mlflow)
    wandb: Wandb = field(default_factory=Wandb)
    tensorboard: Tensorboard = field(default_factory=Tensorboard)
    task: Part = field(kw_only=True)
    model: Part = field(kw_only=True)
    loss: Part = field(kw_only=True)
    optimizer: Part = field(kw_only=True)
    scheduler: Part = field(kw_only=True)
    augmentation: Part = field(kw_only=True)
    metric: Part = field(kw_only=True)
    show_prediction: Part = field(kw_only=True)
    origins: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    left_alone: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as nested plain values, without origins."""
        from .render import to_dict

        return to_dict(self)

    def to_yaml(self) -> str:
        """Return the configuration as YAML, each value with its origin behind it; it loads again as it is."""
        from .render import to_yaml

        return to_yaml(self)
