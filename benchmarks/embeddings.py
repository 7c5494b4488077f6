"""Are the embeddings worth having? What nearest neighbours read off them, against PCA and an untrained encoder.

R² of the 20 nearest training images (Euclidean) on the validation part, another region: 1 is perfect, 0 no better than
the mean of that part, below 0 worse. "range" is T90 - T10 of the temperature, or of the logarithm of chlorophyll, in a
window; "latitude" that of its centre. PCA has 64 components and sees exactly the values that the encoder sees, on whole
windows; the untrained encoder has the weights that training began with. Options were chosen on these validation parts
with seeds 0 and 1: the figures say what is reachable, not what an untouched test set would give. The valid part of
ocean_colour holds 63 windows that span 0.14° of latitude (standard deviation), a quarter of the training part's:
nothing predicts latitude there, R² is far below 0 for all, and only its order is of interest.

Takes ten minutes; needs the shared data, and is run by name: `python benchmarks/run.py embeddings`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = (0, 1, 2)
COMMON = [
    "model.backbone=resnet18",
    "model.stem=large",
    "optimizer=adamw",
    "optimizer.lr=3e-4",
    # directions and levels are what is asked for, so views keep them
    "augmentation.flip=false",
    "augmentation.rotate=5",
    "augmentation.crop=null",
    "augmentation.jitter=0",
    "augmentation.shift=6",
    "augmentation.scale=0.1",
    "hparams.batch_size=64",
    "hparams.plot_interval=0",
    "general.device=cpu",
]
CASES = {
    "ocean_sst (1 band)": [
        "hparams.epochs=15",
        "loss.temperature=0.5",
        "loss.base_temperature=0.5",
        "augmentation.demean=none",
        "augmentation.noise=0.2",
        "model.standardise=mean_std",
    ],
    "ocean_colour (3 bands, gaps)": [
        "hparams.epochs=15",
        "loss.temperature=1",
        "loss.base_temperature=1",
        "dataset.transform=log10",
        "augmentation.demean=band",
        "augmentation.noise=0.02",
        "model.standardise=std",
    ],
}


def rows() -> list[dict[str, object]]:
    import spectrain
    from spectrain.config import load_config
    from spectrain.training.session import build_session

    result: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        data = {"ocean_sst (1 band)": sst(Path(name)), "ocean_colour (3 bands, gaps)": colour(Path(name))}
        for case, options in CASES.items():
            for seed in SEEDS:
                words = [
                    *COMMON,
                    *options,
                    f"dataset.path={data[case]}",
                    "metric.probe=[range,latitude]",
                    f"hparams.valid_interval={next(word for word in options if 'epochs' in word).split('=')[1]}",
                    f"general.seed={seed}",
                    f"artifact_dir={name}/runs",
                ]
                session = build_session(load_config("contrastive", overrides=words, use_personal=False))
                untrained = session.probe(session)
                pixels = pca(session)
                session.close()
                run = spectrain.train("contrastive", overrides=words)
                with h5py.File(run.folder / "curves.h5") as file:
                    trained = {key: float(file[key][-1]) for key in untrained}
                for column in ("range", "latitude"):
                    key = f"knn_{column}_valid"
                    result.append(
                        {
                            "data": case,
                            "quantity": column,
                            "seed": seed,
                            "trained": round(trained[key], 3),
                            "untrained": round(untrained[key], 3),
                            "PCA, 64": round(pixels[key], 3),
                            "best": max(
                                ("trained", trained[key]),
                                ("untrained", untrained[key]),
                                ("PCA", pixels[key]),
                                key=second,
                            )[0],
                        }
                    )
    return result


def second(pair: tuple[str, float]) -> float:
    return pair[1]


def pca(session) -> dict[str, float]:
    """Return what the probe says of principal components of the values that the model sees."""
    from spectrain.data.order import EvalOrder
    from spectrain.inference.embeddings.projection import StreamedPca

    seen = []
    for source, chosen in ((session.train, session.probe.train_rows), (session.valid, session.probe.valid_rows)):
        parts = []
        for raw in source.loader.load(chosen[batch] for batch in EvalOrder(len(chosen), 64).batches()):
            batch = session.augmentation.centred(source.values(raw))
            kept = torch.from_numpy(np.isin(raw.index.numpy(), chosen))
            parts.append(session.model.inputs(batch)[kept].flatten(1))
        seen.append(torch.cat(parts)[: len(chosen)].numpy())
    streamed = StreamedPca()
    streamed.update(seen[0])
    found = streamed.result(64)
    train, valid = (torch.from_numpy(found.transform(part)) for part in seen)
    return session.probe._values(train, valid)


def sst(folder: Path) -> Path:
    """Return the temperature windows, with the quantities as metadata."""
    source = SHARED / "ocean_sst" / "sst_l4_025deg.h5"
    table = pd.read_csv(source.with_name("sst_l4_025deg_meta.csv"))
    return with_table(source, folder, table.assign(range=table["DT"], latitude=table["lat"]))


def colour(folder: Path) -> Path:
    """Return the ocean-colour windows, with the range of log10 chlorophyll and the latitude as metadata."""
    source = SHARED / "ocean_colour" / "olci_sns_64px.h5"
    table = pd.read_csv(source.with_name("olci_sns_64px_meta.csv")).assign(range=np.nan)
    with h5py.File(source) as file:
        for split in ("train", "valid"):
            chlorophyll = np.log10(file[split][:, 0].astype(float))
            low, high = np.nanpercentile(chlorophyll, (10, 90), axis=(1, 2))
            here = table["split"] == split
            table.loc[here, "range"] = (high - low)[table.loc[here, "index_in_split"]]
    return with_table(source, folder, table.assign(latitude=table["lat"]))


def with_table(source: Path, folder: Path, table: pd.DataFrame) -> Path:
    """Return the data linked into ``folder``, with ``table`` as their metadata."""
    link = folder / source.name
    link.symlink_to(source)
    columns = ["split", "index_in_split", "range", "latitude"]
    table[columns].to_csv(folder / f"{source.stem}_meta.csv", index=False)
    return link


if __name__ == "__main__":
    from run import table

    print(table(rows()))
