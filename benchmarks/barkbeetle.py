"""From scenes to a tested map on real data: bark-beetle damage in Czech forests, against a random forest of pixels.

145 sites, two dates of twelve Sentinel-2 bands each, made into patches of 64 px by `spectrain prepare`: the westernmost
fifth of the sites is kept as `test` (other places), a tenth of the others as `val-test`, the rest has five folds by
scene. Every row is trained on the same part of the same fold (0). Which options are good is decided on that fold's
validation part alone; the tests are looked at once, for all rows, and every row is shown.

"random forest" sees the same 24 values a pixel (200 trees, leaves of 5 pixels and more, 150,000 pixels of the same
training patches). IoU is of the damaged class at a probability of one half; the range behind it holds 95 % of 1,000
bootstrap samples of scenes.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "s2_barkbeetle"
EPOCHS = 40
CANDIDATES = {
    "default (Unet, resnet18, combined loss)": [],
    "focal loss, alpha auto": ["loss=focal", "loss.alpha=auto"],
    "learning rate 3e-4": ["optimizer.lr=3e-4"],
    "changes of light": ["augmentation=scenes_light"],
}


SPLITS = ("valid", "val-test", "test")
SEEDS = (0, 1, 2)
"""Of the candidate that is best on validation: what is the network's, and what is luck; and their mean as one model."""


def rows(epochs: int = EPOCHS, candidates: dict[str, list[str]] = CANDIDATES) -> list[dict[str, object]]:
    if not SHARED.is_dir():
        print(f"no {SHARED}: not measured", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        place = prepared(Path(folder))
        result = [forest(place)]
        result += [trained(place, Path(folder), name, options, epochs) for name, options in candidates.items()]
        best = max(result[1:], key=lambda row: float(str(row["validation IoU"])))
        name = str(best["method"])
        best["method"] = f"{name} (best on validation)"
        for seed in SEEDS[1:]:
            words = [*candidates[name], f"general.seed={seed}"]
            result.append(trained(place, Path(folder), f"the same, seed {seed}", words, epochs))
        runs = [Path(folder) / name, *(Path(folder) / f"the same, seed {seed}" for seed in SEEDS[1:])]
        scratch = Path(folder) / "tests"
        result.append(of_runs("the best, in eight turns", runs[:1], scratch / "a", turns=True))
        result.append(of_runs(f"the {len(runs)} seeds as one", runs, scratch / "b"))
        result.append(of_runs(f"the {len(runs)} seeds as one, in eight turns", runs, scratch / "c", turns=True))
    return result


def prepared(folder: Path) -> Path:
    """Patches of both dates, with the westernmost fifth of the sites for the test."""
    import geopandas
    import shapely

    import spectrain

    with (SHARED / "sites.csv").open(newline="") as file:
        sites = list(csv.DictReader(file))
    edge = float(np.quantile([float(site["lon"]) for site in sites], 0.2))
    west = shapely.box(12.0, 48.0, edge, 52.0)
    geopandas.GeoDataFrame({"shapeName": ["west"]}, geometry=[west], crs=4326).to_file(folder / "regions.geojson")
    made = spectrain.prepare(
        "scenes",
        data_dir=str(SHARED),
        images=["y2019=scenes_2019/{scene}.tif", "y2020=scenes_2020/{scene}.tif"],
        labels="mask/{scene}.tif",
        label_names=["healthy", "damaged"],
        scale=1e-4,
        nodata=0,
        patch_size=64,
        overlap=16,
        admin_dir=str(folder / "regions.geojson"),
        test_regions=["west"],
        test_val_split=0.1,
        train_data_dir=str(folder / "prepared"),
    )
    return made.folder


def trained(place: Path, folder: Path, name: str, options: list[str], epochs: int) -> dict[str, object]:
    import spectrain

    begin = time.perf_counter()
    fixed = [f"dataset.path={place}", "dataset.fold=0", f"hparams.epochs={epochs}", "hparams.batch_size=16"]
    fixed += ["hparams.plot_interval=0", "hparams.early_stopping_patience=0", f"out_dir={folder / name}"]
    run = spectrain.train("segmentation", overrides=[*fixed, *options])
    minutes = (time.perf_counter() - begin) / 60
    with (run.folder / "metrics.csv").open(newline="") as file:
        best = max(float(row["jaccard_valid"]) for row in csv.DictReader(file) if row.get("jaccard_valid"))
    found = {one.split: one for one in spectrain.test(run.folder)}
    return row_of(
        name, best, {split: (one["jaccard"], one.breakdown.intervals) for split, one in found.items()}, minutes
    )


def of_runs(name: str, runs: list[Path], folder: Path, *, turns: bool = False) -> dict[str, object]:
    """One run or several as one, with each image seen in its eight turns or as it is."""
    import spectrain

    begin = time.perf_counter()
    found = {one.split: one for one in spectrain.test(runs, output=folder, splits=SPLITS, turns=turns)}
    minutes = (time.perf_counter() - begin) / 60
    best = found.pop("valid")["jaccard"]
    told = {split: (one["jaccard"], one.breakdown.intervals) for split, one in found.items()}
    return row_of(name, best, told, minutes)


def forest(place: Path) -> dict[str, object]:
    """The same pixels one by one."""
    from sklearn.ensemble import RandomForestClassifier

    begin = time.perf_counter()
    x, y = pixels(place, "train")
    some = np.random.default_rng(0).choice(len(x), min(len(x), 150_000), replace=False)
    model = RandomForestClassifier(200, min_samples_leaf=5, n_jobs=-1, random_state=0).fit(x[some], y[some])
    minutes = (time.perf_counter() - begin) / 60

    def probability(batch, kept: torch.Tensor) -> np.ndarray:
        return model.predict_proba(batch.image.movedim(1, -1)[kept].numpy())[:, 1]

    found = {split: judged(place, split, probability) for split in SPLITS}
    best, _ = found.pop("valid")
    return row_of("random forest of pixels", best, found, minutes)


def batch_of(place: Path, split: str):
    from spectrain.core.batch import RawBatch
    from spectrain.core.targets import NoTarget
    from spectrain.data.opening import open_patches
    from spectrain.data.values import Values

    patches = open_patches(place, split)
    index = np.arange(len(patches))
    stored = patches.read(index)
    raw = RawBatch(torch.from_numpy(stored.image), None, NoTarget(), torch.from_numpy(index))
    batch = Values(patches.bands)(raw)
    counted = (torch.from_numpy(stored.labels.astype(np.int16)) != 255) & batch.valid.any(1)
    return patches, batch, torch.where(counted, torch.from_numpy(stored.labels.astype(np.int16)), 255)


def pixels(place: Path, split: str):
    _, batch, y = batch_of(place, split)
    kept = y != 255
    return batch.image.movedim(1, -1)[kept].numpy(), y[kept].numpy()


def judged(place: Path, split: str, probability) -> tuple[float, dict[str, tuple[float, float]]]:
    """IoU and its interval, by the product's own metric, of probabilities of a batch's labelled pixels."""
    from spectrain.core.segmented import Segmented
    from spectrain.metrics.segmentation_tables import SegmentationTables

    patches, batch, y = batch_of(place, split)
    p = np.full(y.shape, 0.5)
    kept = y != 255
    p[kept.numpy()] = probability(batch, kept)
    p = np.clip(p, 1e-6, 1 - 1e-6)
    tables = SegmentationTables(None)
    logits = torch.from_numpy(np.log(p / (1 - p))).float()[:, None]
    tables.update(Segmented(logits, y.to(torch.int16), ("healthy", "damaged")), batch)
    found = tables.breakdown({"scene": patches.metadata()["scene"].astype(str).tolist()})
    return found.everything["jaccard"], found.intervals


def row_of(name: str, best: float, found: dict, minutes: float) -> dict[str, object]:
    def told(split: str) -> str:
        value, intervals = found[split]
        low, high = intervals["jaccard"]
        return f"{value:.3f} ({low:.3f} to {high:.3f})"

    return {
        "method": name,
        "validation IoU": f"{best:.3f}",
        "val-test IoU": told("val-test"),
        "test IoU": told("test"),
        "minutes": minutes,
    }


if __name__ == "__main__":
    from run import table

    print(table(rows()))
