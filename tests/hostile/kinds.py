"""What is read from strangers: how a small file of each kind is written, and how all of it is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

TESTS = Path(__file__).resolve().parent.parent
for name in ("data", "training", "tasks", "runs"):
    if str(TESTS / name) not in sys.path:
        sys.path.append(str(TESTS / name))

SHAPE = (5, 2, 6, 5)
READ = 64
"""Patches that are read of a file that says it has more."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        write: makes a small one in an empty folder and returns the path that a user names.
        read: reads all that is to be read; raises nothing but `SpectrainError`.
        damage: pattern of the files that are damaged; what else is there is left whole.
        native: HDF5 reads it, which itself dies of some damage or goes in circles; that is counted, and no failure.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], None]
    damage: str = "*"
    native: bool = False

    def files(self, folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob(self.damage) if path.is_file())


def images(dtype="uint16", shape=SHAPE):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def read_patches(path: Path) -> None:
    """Read patches of all splits, their labels, rows, picture and fingerprint, as a training and `inspect` do."""
    from spectrain.data.opening import open_patches, recognise

    for split in recognise(path).splits(path)[:4] or ["train"]:
        patches = open_patches(path, split)
        patches.check()
        index = np.arange(min(len(patches), READ))
        patches.read(index)
        patches.labels(index)
        patches.metadata()
        patches.fingerprint()
        patches.stamp()
        if len(patches):
            patches.picture(0)


# -- HDF5 ------------------------------------------------------------------------------------------------------------


def _hdf5(**layout):
    def write(folder: Path) -> Path:
        import h5py

        path = folder / "images.h5"
        with h5py.File(path, "w") as file:
            for split in ("train", "valid"):
                file.create_dataset(split, data=images(), **layout)
                file[f"{split}_mask"] = images("uint8", (SHAPE[0], 1, *SHAPE[2:])) > 20
                file[f"{split}_labels"] = np.arange(SHAPE[0])
                rows = np.array([(f"{split}{n}", n / 2) for n in range(SHAPE[0])], [("patch_id", "S9"), ("lat", "f8")])
                file[f"{split}_metadata"] = rows
            file.attrs["wavelength_nm"] = [450.0, 650.0]
            file.attrs["band_names"] = ["blue", "red"]
        return path

    return write


def _cube(folder: Path) -> Path:
    from cube_files import pixels, write_cube

    return write_cube(
        folder / "cube.h5",
        pixels((3, 40, 52)),
        "Cube/Images",
        Cube__Wavelengths=np.array([450.0, 550.0, 650.0]),
        labels=np.zeros((40, 52), "u1"),
    )


def _cubes(folder: Path) -> Path:
    from cube_files import pixels, write_cube, write_list

    rows = []
    for number in range(4):
        file = write_cube(folder / f"{number}.h5", pixels((2, 6, 5), seed=number), "Cube/Images")
        rows.append({"hs_file": file.name, "participant": f"p{number}", "label": number % 2, "split": "train"})
    return write_list(folder / "list.csv", rows)


# -- GeoTIFF, npy, Zarr ----------------------------------------------------------------------------------------------


def _geotiff(folder: Path) -> Path:
    from test_geotiff import write

    for number in range(2):
        image = images()[number]
        write(folder / "tiles" / "images" / f"{number}.tif", image, (0, 40 * number), descriptions=["blue", "red"],
              compress="deflate", nodata=0)  # fmt: skip
        write(folder / "tiles" / "labels" / f"{number}.tif", image[0].astype("u1"), (0, 40 * number))
    return folder / "tiles"


def _npy(folder: Path) -> Path:
    for number, image in enumerate(images()[:3]):
        for kind, values in (("images", image), ("labels", image[0].astype("u1"))):
            path = folder / "pairs" / "train" / kind / f"p{number}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)
    (folder / "pairs" / "bands.csv").write_text("name,wavelength_nm\nblue,450\nred,650\n")
    return folder / "pairs"


def _zarr(version: int, shards: bool = False):
    def write(folder: Path) -> Path:
        import zarr

        group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=version)
        inner = group.create_group("train")
        for name, values in (("x", images()), ("y", images("uint8")[:, 0]), ("mask", images("uint8")[:, :1] > 9)):
            layout = {"chunks": (1, *values.shape[1:])} | ({"shards": (5, *values.shape[1:])} if shards else {})
            inner.create_array(name, shape=values.shape, dtype=values.dtype, **layout)[...] = values
        return folder / "a.zarr"

    return write


def _native(folder: Path, name: str = "patches.zarr", folds=()) -> Path:
    import shapely

    from spectrain.core.bands import Band, Bands
    from spectrain.data.native.writer import NativeWriter
    from spectrain.data.patches import Rows

    ids = [f"p{number}" for number in range(SHAPE[0])]
    places = [shapely.to_wkb(shapely.box(n, 0, n + 0.5, 0.5)) for n in range(SHAPE[0])]
    table = pd.DataFrame({"patch_id": ids, "scene": ["a", "a", "b", "b", "c"], "geometry": places})
    splits = {"format": {"name": "spectrain.splits", "version": 1}, "splits": {"train": ids[:3], "valid": ids[3:]}}
    if folds:
        splits |= {"splits": {"cross-val": ids}, "folds": list(folds)}
    bands = Bands([Band("blue", 450.0), Band("red", 650.0)])
    with NativeWriter(folder / name, bands, shard_bytes=2 * images()[:1].nbytes) as writer:
        writer.append(Rows(images(), images("uint8")[:, :1] > 9, images("uint8")[:, 0]), table)
        writer.commit(splits={"fingerprint": None, "folds": [], **splits})
    return folder / name


def _prepared(folder: Path) -> Path:
    ids = [f"p{number}" for number in range(SHAPE[0])]
    for name in ("cross-val", "test"):
        fold = {"train": ids[:3], "valid": ids[3:]}
        _native(folder / "prepared", f"{name}.zarr", [fold] if name == "cross-val" else ())
    (folder / "prepared" / "config.toml").write_text('[darts.patches]\nbands = ["blue", "red"]\n')
    (folder / "prepared" / "labels.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    return folder / "prepared"


def _darts(folder: Path) -> Path:
    import shapely
    import zarr

    from spectrain.data.patch_table import write_patch_table

    path = folder / "darts"
    path.mkdir(parents=True)
    group = zarr.open_group(path / "data.zarr", mode="w")
    for name, values in (("x", images("float32")), ("y", images("uint8")[:, 0] % 3)):
        group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=(1, *values.shape[1:]))[...] = values
    places = [shapely.to_wkb(shapely.box(n, 0, n + 0.5, 0.5)) for n in range(SHAPE[0])]
    rows = {"z_idx": range(SHAPE[0]), "sample_id": list("abcde"), "geometry": places}
    write_patch_table(pd.DataFrame(rows), path / "metadata.parquet")
    (path / "config.toml").write_text('[darts.patches]\nbands = ["blue", "red"]\n')
    return path


# -- options, splits, runs -------------------------------------------------------------------------------------------

OPTIONS = {
    "recipe": "contrastive",
    "dataset": {"path": "images.h5", "bands": ["red", "nir"], "scale": [0.1, 0.2]},
    "optimizer": {"name": "adamw", "lr": 0.001},
    "hparams": {"epochs": 3, "batch_size": 8, "checkpoint_every": "10min"},
    "augmentation": {"crop": 32},
    "mlflow": {"tags": {"a": "b"}},
}


def _options(ending: str):
    def write(folder: Path) -> Path:
        import tomli_w
        import yaml

        path = folder / f"options{ending}"
        texts = {
            ".json": json.dumps(OPTIONS, indent=1),
            ".yaml": yaml.safe_dump(OPTIONS),
            ".toml": tomli_w.dumps({"spectrain": OPTIONS}),
        }
        path.write_text(texts[ending])
        return path

    return write


def read_options(path: Path) -> None:
    from spectrain.config import load_config

    load_config("contrastive", config=path, use_personal=False).to_yaml()


def _sweep(folder: Path) -> Path:
    text = "name: s\nmethod: bayes\nrun_cap: 5\nmetric: [{name: jaccard_valid, goal: maximize}]\nparameters:\n"
    text += "  optimizer.lr: {min: 1e-4, max: 0.1, distribution: log_uniform_values}\n"
    text += "  hparams.batch_size: {values: [2, 4]}\n"
    path = folder / "sweep.yaml"
    path.write_text(text + "early_terminate: {type: hyperband, min_iter: 2, eta: 3}\n")
    return path


def read_sweep(path: Path) -> None:
    from spectrain.sweeps.definition import read_definition

    read_definition(path)


def _splits(folder: Path) -> Path:
    from spectrain.data.opening import open_patches

    path = _hdf5()(folder)
    ids = list(open_patches(path, "train").metadata()["patch_id"])
    splits = {"train": ids[:3], "valid": ids[3:]}
    content = {"format": {"name": "spectrain.splits", "version": 1}, "fingerprint": None, "splits": splits}
    (folder / "splits.json").write_text(json.dumps({**content, "folds": [{"train": ids[:2], "valid": ids[2:]}]}))
    return path


def read_with_splits(path: Path) -> None:
    from spectrain.config.schema import DatasetOptions
    from spectrain.data.opening import given_folds, open_patches

    given_folds(path)
    for fold in (None, 0):
        for split in ("train", "valid"):
            options = DatasetOptions(splits=str(path.with_name("splits.json")), fold=fold)
            open_patches(path, split, options).read(np.arange(1))


def _trained(folder: Path):
    import spectrain

    (folder / "data").mkdir()
    data = _hdf5()(folder / "data")
    words = "model=toy_net model.embed=true model.standardise=mean_std augmentation.crop=5 augmentation.jitter=0"
    words += (
        " metric=none show_prediction=none hparams.batch_size=4 hparams.epochs=1 general.threads=1 general.device=cpu"
    )
    words += " scheduler=none hparams.monitor=loss_valid hparams.monitor_mode=min hparams.plot_interval=0"
    given = [f"dataset.path={data}", "dataset.labels_key=null", f"out_dir={folder / 'run'}", *words.split()]
    return spectrain.train("contrastive", overrides=given, plugins=["toy_plugin"])


def _run(folder: Path) -> Path:
    import shutil

    _trained(folder)
    shutil.rmtree(folder / "run" / "plots", ignore_errors=True)
    return folder / "run"


def read_run(path: Path) -> None:
    """Read a run as the report and `--resume` do."""
    from spectrain.runs.curves import read_curves
    from spectrain.runs.report import write_report
    from spectrain.runs.run import Run

    write_report([path], path.parent / "out.html")
    run = Run.open(path)
    import toy_plugin  # noqa: F401

    run.cfg  # noqa: B018 - it is read when it is asked for
    read_curves(path / "curves.h5")


def _checkpoint(folder: Path) -> Path:
    return _trained(folder).checkpoint("last")


def read_checkpoint(path: Path) -> None:
    import toy_plugin  # noqa: F401

    from spectrain.models.weights import read_tensors
    from spectrain.training.trained.model import load_trained

    read_tensors(path)
    load_trained(path)


def _exported(folder: Path) -> Path:
    from spectrain.training.checkpoint import load_checkpoint
    from spectrain.training.trained.exported import save_exported

    record = load_checkpoint(_checkpoint(folder))
    save_exported(folder / "model", record["model"], record["meta"])
    return folder / "model"


KINDS = {
    "hdf5": Kind(_hdf5(), read_patches, native=True),
    "hdf5_gzip": Kind(_hdf5(chunks=(2, 1, 3, 5), compression="gzip", shuffle=True), read_patches, native=True),
    "hdf5_lzf": Kind(_hdf5(chunks=(2, 1, 6, 5), compression="lzf", fletcher32=True), read_patches, native=True),
    "cube": Kind(_cube, read_patches, native=True),
    "csv_cubes": Kind(_cubes, read_patches, native=True),
    "geotiff": Kind(_geotiff, read_patches),
    "npy_pairs": Kind(_npy, read_patches),
    "zarr_group": Kind(_zarr(3), read_patches),
    "zarr_v2": Kind(_zarr(2), read_patches),
    "zarr_shards": Kind(_zarr(3, shards=True), read_patches),
    "native": Kind(_native, read_patches),
    "prepared": Kind(_prepared, read_patches),
    "darts_table": Kind(_darts, read_patches),
    "options_json": Kind(_options(".json"), read_options),
    "options_yaml": Kind(_options(".yaml"), read_options),
    "options_toml": Kind(_options(".toml"), read_options),
    "sweep": Kind(_sweep, read_sweep),
    "splits": Kind(_splits, read_with_splits, "splits.json"),
    "run": Kind(_run, read_run, "*.*[!t]", native=True),
    "checkpoint": Kind(_checkpoint, read_checkpoint, "last.pt"),
    "exported": Kind(_exported, read_checkpoint, "model.*"),
}
