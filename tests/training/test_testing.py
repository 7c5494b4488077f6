"""`spectrain test`: what it writes, on what, the same by other ways, and what it refuses."""

from __future__ import annotations

import csv
import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import small_mae
import torch
from small_mae import config, cube_of, words, write

import spectrain
from spectrain.cli import main
from spectrain.config import load_config
from spectrain.core.batch import Batch
from spectrain.core.errors import DataError, RunError
from spectrain.core.random import Key
from spectrain.core.targets import NoTarget
from spectrain.data.opening import open_patches
from spectrain.data.splits_file import given_splits
from spectrain.metrics import reconstruction, reconstruction_tables
from spectrain.training.parts import evaluate_model_dataloader, load_trained_model, make_loader
from spectrain.training.testing import test as run_test
from spectrain.training.trained.model import load_trained

pytestmark = pytest.mark.usefixtures("undrawn")

SPLIT = ["dataset.test_fraction=0.2", "dataset.valid_fraction=0.2"]
MEANS = ("mse_masked", "sam_masked", "psnr_masked", "mse", "sam", "psnr")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("testing")
    small_mae.write_cubes(folder)
    return folder


@pytest.fixture(scope="module")
def overrides(folder) -> list[str]:
    return words(
        folder / "holes.h5",
        *SPLIT,
        "show_prediction=plot_rgb",
        "show_prediction.dpi=40",
        "show_prediction.nb_to_plot=1",
        "hparams.epochs=1",
    )


@pytest.fixture(scope="module")
def run(folder, overrides) -> Path:
    return spectrain.train("mae", overrides=[*overrides, f"out_dir={folder / 'run'}"]).folder


@pytest.fixture(scope="module")
def found(run, folder):
    [found] = run_test(run, output=folder / "found")
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def fails(capsys, *given: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["test", *given])
    assert stopped.value.code == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message and "fault of spectrain" not in message
    return message


def test_what_is_written(folder, run, found):
    place = folder / "found" / "test"
    assert found.folder == place
    names = {item.name for item in place.iterdir()}
    assert names == {"metrics.csv", "metrics.json", "images.csv", "wavelengths.csv", "pictures"}
    [row] = rows(place / "metrics.csv")
    assert list(row) == list(found)
    assert {"loss", "loss_mse", "loss_sam", *MEANS} <= set(found)
    assert all(float(row[name]) == value or math.isnan(value) for name, value in found.items())
    assert json.loads((place / "metrics.json").read_text()) == {
        name: None if math.isnan(value) else value for name, value in found.items()
    }
    pictures = sorted((place / "pictures").iterdir())
    assert 1 <= len(pictures) <= 4
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_a_row_an_image_whose_means_are_the_metrics(folder, run, found):
    cfg = config(folder / "holes.h5", *SPLIT)
    patches = open_patches(folder / "holes.h5", "test", cfg.dataset)
    table = rows(found.folder / "images.csv")
    assert [row["patch_id"] for row in table] == patches.metadata()["patch_id"].astype(str).tolist()
    assert [int(row["index"]) for row in table] == list(range(len(patches)))
    for name in MEANS:
        values = np.array([float(row[name]) for row in table])
        assert np.nanmean(values) == pytest.approx(found[name], rel=1e-6), name
        np.testing.assert_allclose(values, found.images[name])


def test_what_tables_and_means_share_is_computed_once_an_image(run, found, tmp_path, monkeypatch):
    compared, image_rows = [], reconstruction.image_rows

    def noted(output, **options):
        compared.append(len(output.target))
        return image_rows(output, **options)

    monkeypatch.setattr(reconstruction, "image_rows", noted)
    monkeypatch.setattr(reconstruction_tables, "image_rows", noted)
    [again] = run_test(run, output=tmp_path, batch_size=len(found.images["index"]))
    assert compared == [len(found.images["index"])]
    assert dict(again) == pytest.approx(dict(found), rel=1e-5, nan_ok=True)


def test_a_row_a_wavelength_that_agrees_with_the_images(folder, found):
    table = rows(found.folder / "wavelengths.csv")
    with h5py.File(folder / "holes.h5") as file:
        wavelengths = file["wavelength_nm"][()]
    np.testing.assert_allclose([float(row["wavelength_nm"]) for row in table], wavelengths)
    assert {row["data_set"] for row in table} == {"0"}
    rmse, count = (np.array([float(row[name]) for row in table]) for name in ("rmse", "values"))
    assert (count > 0).all()
    assert found.wavelengths["values"] == count.tolist()
    bias = np.array([float(row["mean_error"]) for row in table])
    assert (np.abs(bias) <= rmse).all()


def test_one_image_from_scratch(folder, run, tmp_path):
    """An image by itself: the model by hand, then NumPy alone."""
    cube, wavelengths = cube_of(slice(0, None, 4))
    cube = cube[:, :16, :16].copy()
    cube[2, :3, :5] = np.nan
    path = write(tmp_path / "one.h5", cube, wavelengths)
    options = replace(config(path).dataset, window=16)
    [found] = run_test(run, path, tmp_path / "out", splits=["all"], overrides=options)
    assert len(found.images["patch_id"]) == 1

    model = load_trained_model(run)
    valid = np.isfinite(cube)[None]
    image = torch.from_numpy(np.nan_to_num(cube[None], nan=7.0))
    batch = Batch(image, torch.from_numpy(valid), NoTarget(), torch.arange(1), all_valid=False, key=Key(0, "valid"))
    with torch.no_grad():
        tokens = model.tokens(batch)
        plan = model.net.plan(tokens, batch.key, batch.index)
        predicted = model.net.predict(tokens, plan)[0].numpy()
    held, grid = model.band_set(0), tokens.grid
    restored = np.full((8, 16, 16), np.nan)
    for number, asked, values in zip(plan.predicted[0].tolist(), plan.wanted[0].tolist(), predicted, strict=True):
        group, token = divmod(number, grid.places)
        row, column = (4 * part for part in divmod(token, grid.columns))
        for place, band in enumerate(held.slots[group * grid.group_size : (group + 1) * grid.group_size]):
            if asked and band >= 0:
                block = values.reshape(grid.group_size, 4, 4)[place].astype(np.float64)
                restored[band, row : row + 4, column : column + 4] = block * float(held.std[band]) + float(
                    held.mean[band]
                )
    masked = np.isfinite(restored) & valid[0]
    error = np.where(masked, restored - np.nan_to_num(cube), 0.0)
    assert masked.any() and not masked.all()
    assert found.wavelengths["values"] == masked.sum((1, 2)).tolist()
    by_band = (error**2).sum((1, 2)) / masked.sum((1, 2))
    np.testing.assert_allclose(np.array(found.wavelengths["rmse"]) ** 2, by_band, rtol=1e-4)
    np.testing.assert_allclose(
        found.wavelengths["mean_error"], error.sum((1, 2)) / masked.sum((1, 2)), rtol=1e-3, atol=1e-7
    )
    assert found["mse_masked"] == pytest.approx((error**2).sum() / masked.sum(), rel=1e-4)
    assert found["mse"] == pytest.approx((error**2).sum() / valid.sum(), rel=1e-4)


def test_a_test_split_of_a_splits_file(folder, tmp_path):
    names = open_patches(folder / "whole.h5", "all", config(folder / "whole.h5").dataset).metadata()["patch_id"]
    names = names.astype(str).tolist()
    splits = given_splits({"train": names[8:], "valid": names[4:8], "test": names[:4]})
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    more = [f"dataset.splits={tmp_path / 'splits.json'}", "hparams.epochs=1", f"out_dir={tmp_path / 'run'}"]
    run = spectrain.train("mae", overrides=words(folder / "whole.h5", *more))
    [found] = run_test(run.folder)
    assert found.folder.name == "test" and found.images["patch_id"] == names[:4]


def test_without_a_test_split_it_is_the_validation_split_and_says_what_the_training_said(folder, tmp_path):
    run = spectrain.train("mae", overrides=words(folder / "holes.h5", f"out_dir={tmp_path / 'run'}"))
    [found] = run_test(run.folder)
    assert found.folder == run.folder / "test" / "holes" / "valid"
    with h5py.File(run.folder / "curves.h5") as file:
        best = run.info["best"]["epoch"] - 1
        for name in ("loss", "loss_mse", "mse_masked", "sam"):
            assert found[name] == pytest.approx(file[f"{name}_valid"][best], rel=1e-6), name


def test_the_same_whatever_the_batch_size(run, found, tmp_path):
    [other] = run_test(run, output=tmp_path, batch_size=3)
    assert other == pytest.approx(dict(found), rel=1e-5, nan_ok=True)
    assert other.images["patch_id"] == found.images["patch_id"]


@pytest.mark.parametrize("split", ["valid", "test", "train"])
def test_by_the_function_of_the_document(folder, run, overrides, tmp_path, split):
    cfg = load_config("mae", overrides=overrides, use_personal=False)
    loader = make_loader(cfg, split)
    one = evaluate_model_dataloader(model=load_trained_model(run), dataloader=loader, output_folder=tmp_path / "one")
    loader.close()
    [other] = run_test(run, output=tmp_path / "other", splits=[split])
    assert one == pytest.approx(dict(other), rel=1e-9, nan_ok=True)
    assert one.images["patch_id"] == other.images["patch_id"]
    for name in ("metrics.csv", "images.csv", "wavelengths.csv"):
        assert (one.folder / name).read_text() == (other.folder / name).read_text()
    assert len(list((one.folder / "pictures").iterdir())) == len(list((other.folder / "pictures").iterdir()))


def test_the_function_of_the_document_refuses_other_bands_than_the_models(folder, run, tmp_path):
    other = write(tmp_path / "moved.h5", cube_of(slice(0, None, 4))[0], np.linspace(1000, 2000, 8))
    loader = make_loader(config(other, *SPLIT), "valid")
    with pytest.raises(DataError, match="the data have it at 1000 nm"):
        evaluate_model_dataloader(load_trained_model(run), loader, tmp_path / "out")
    loader.close()


def test_the_command_on_two_splits(run, found, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["test", str(run), "--split", "test", "--split", "valid", "-o", str(tmp_path / "out"), "--device", "cpu"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert f"mse_masked       {found['mse_masked']:.6g}" in said
    assert str(tmp_path / "out" / "valid") in said
    [row] = rows(tmp_path / "out" / "test" / "metrics.csv")
    assert float(row["loss"]) == found["loss"]
    assert (tmp_path / "out" / "valid" / "images.csv").is_file()


def test_the_page_of_a_run_shows_a_test_that_came_later(run):
    page = run / "report.html"
    assert "page of the test" not in page.read_text()
    run_test(run)
    assert "page of the test" in page.read_text()


def test_a_model_for_any_bands_on_other_bands(folder, run, caplog):
    with caplog.at_level(logging.INFO):
        [found] = run_test(run, folder / "other.h5")
    assert "was not trained on these 5 bands, so the statistics are those of the data themselves" in caplog.text
    assert found.folder.parent == run / "test" / "other"
    assert len(found.wavelengths["band"]) == 5
    assert np.isfinite([found[name] for name in ("loss", *MEANS)]).all()
    with h5py.File(folder / "other.h5") as file:
        np.testing.assert_allclose(found.wavelengths["wavelength_nm"], file["wavelength_nm"][()])


def test_what_a_run_says_of_single_bands_is_for_the_same_bands_alone(folder, tmp_path, caplog):
    cube, wavelengths = cube_of(slice(0, None, 4))
    bare = tmp_path / "bare.h5"
    with h5py.File(bare, "w") as file:  # it names no wavelengths: the training did
        file["cube"] = cube[:, ::-1]
    listed = f"dataset.wavelengths=[{','.join(map(str, wavelengths.tolist()))}]"
    more = [listed, "dataset.bands=[band_2,band_5,band_7]", "hparams.epochs=1", "dataset.scale=[1,1,2]"]
    run = spectrain.train("mae", overrides=words(bare, *more, f"out_dir={tmp_path / 'run'}")).folder
    with caplog.at_level(logging.INFO):
        [same] = run_test(run, folder / "whole.h5")
        assert "was not trained on" not in caplog.text
        [other] = run_test(run, folder / "other.h5")
    assert same.wavelengths["wavelength_nm"] == pytest.approx(wavelengths[[1, 4, 6]].tolist())
    assert "was not trained on these 5 bands" in caplog.text
    with h5py.File(folder / "other.h5") as file:
        assert other.wavelengths["wavelength_nm"] == pytest.approx(file["wavelength_nm"][()].tolist())
    with pytest.raises(DataError, match=r"dataset\.wavelengths"):  # what is given on purpose is not left out
        run_test(run, folder / "other.h5", overrides=load_trained(run).cfg.dataset)


def test_other_data_are_tested_on_all_of_them_also_by_a_run_without_validation(folder, tmp_path):
    more = ["dataset.train_key=all", "dataset.valid_key=null", "hparams.epochs=1", "hparams.monitor=loss_train"]
    run = spectrain.train("mae", overrides=words(folder / "whole.h5", *more, f"out_dir={tmp_path / 'run'}")).folder
    [found] = run_test(run, folder / "other.h5")
    assert found.folder.name == "all"
    with pytest.raises(DataError, match="there is no split 'test'"):
        run_test(run)


def test_a_transform_that_is_given_for_other_data_is_used(folder, run, tmp_path):
    options = replace(load_trained(run).cfg.dataset, transform="log10")
    plain, log = (
        run_test(run, folder / "other.h5", tmp_path / str(number), overrides=one)[0]
        for number, one in enumerate((None, options))
    )
    assert log["mse"] != plain["mse"] and math.isfinite(log["mse"])


def test_another_transform_with_the_statistics_of_the_training_is_warned_of(
    folder, run, of_one_band_set, tmp_path, caplog
):
    same = load_trained(run).cfg.dataset
    said = "dataset.transform is log10 here and was none in the training, whose means and deviations"
    run_test(run, folder / "whole.h5", tmp_path / "same", overrides=same)
    run_test(run, folder / "other.h5", tmp_path / "measured", overrides=replace(same, transform="log10"))
    assert "dataset.transform" not in caplog.text
    small = load_trained(of_one_band_set["small"]).cfg.dataset
    for number, (one, data, options) in enumerate(
        [(run, folder / "whole.h5", same), (run, None, same), (of_one_band_set["small"], folder / "whole.h5", small)]
    ):
        caplog.clear()
        run_test(one, data, tmp_path / str(number), overrides=replace(options, transform="log10"))
        assert caplog.text.count(said) == 1 and "leave dataset.transform as it was" in caplog.text


def test_on_several_data_sets_at_once(folder, run, tmp_path):
    both, one, other = (
        run_test(run, [folder / f"{name}.h5" for name in names], tmp_path / "-".join(names), splits=["all"])[0]
        for names in (["whole", "other"], ["whole"], ["other"])
    )
    assert both.wavelengths["data_set"] == [0] * 8 + [1] * 5
    assert both.wavelengths["rmse"][:8] == pytest.approx(one.wavelengths["rmse"], rel=1e-5)
    count = [len(table.images["patch_id"]) for table in (both, one, other)]
    assert count[0] == count[1] + count[2]
    assert {name.split("/")[0] for name in both.images["patch_id"]} == {"0", "1"}


def test_a_mixture_that_was_trained_on(folder, tmp_path):
    paths = [folder / "whole.h5", folder / "other.h5"]
    run = spectrain.train("mae", overrides=words(paths, f"out_dir={tmp_path / 'run'}", "hparams.epochs=1"))
    [found] = run_test(run.folder)
    assert found.folder == run.folder / "test" / "whole+other" / "valid"
    with h5py.File(run.folder / "curves.h5") as file:
        assert found["loss"] == pytest.approx(file["loss_valid"][0], rel=1e-6)
    loader = make_loader(config(paths), "valid")
    again = evaluate_model_dataloader(load_trained_model(run.folder), loader, tmp_path / "again")
    loader.close()
    # the loader knows that no value is missing, which adds up in another order
    assert dict(again) == pytest.approx(dict(found), rel=1e-5, nan_ok=True)


@pytest.fixture(scope="module")
def of_one_band_set(folder):
    """An autoencoder and a contrastive model: each is for the bands that it was trained on."""
    kept = [item for item in words(folder / "whole.h5", f"out_dir={folder / 'small'}") if not item.startswith("model")]
    small = spectrain.train("mae", overrides=[*kept, "model=spectral_autoencoder", "model.widths=[16,3]"]).folder
    more = ["model.backbone=resnet18", "model.feat_dim=8", "hparams.batch_size=8", "hparams.epochs=1"]
    more += [
        "dataset.window=8",
        "augmentation.crop=null",
        "augmentation.jitter=0",
        "general.device=cpu",
        "show_prediction=none",
    ]
    more += [f"dataset.path={folder / 'whole.h5'}", f"out_dir={folder / 'contrastive'}", "model.stem=large"]
    return {"small": small, "contrastive": spectrain.train("contrastive", overrides=more).folder}


@pytest.mark.parametrize("name", ["small", "contrastive"])
def test_models_of_one_band_set_are_tested_on_it_and_refuse_others(folder, of_one_band_set, capsys, tmp_path, name):
    run = of_one_band_set[name]
    [found] = run_test(run, output=tmp_path / "own")
    assert np.isfinite(found["loss"])
    message = fails(capsys, str(run), "--data", str(folder / "other.h5"), "-o", str(tmp_path / "other"))
    assert "the model was trained on 8 bands, the data have 5" in message
    assert "other.h5" in message and "in this order" in message
    moved = write(tmp_path / "moved.h5", cube_of(slice(0, None, 4))[0], np.linspace(1000, 2000, 8))
    message = fails(capsys, str(run), "--data", str(moved))
    assert "the data have it at 1000 nm" in message
    message = fails(capsys, str(run), "--data", str(folder / "whole.h5"), "--data", str(folder / "other.h5"))
    assert "the model takes one band set" in message
    assert not (tmp_path / "other").exists()


def test_a_model_that_hides_nothing_has_tables_too(of_one_band_set, tmp_path):
    [found] = run_test(of_one_band_set["small"], output=tmp_path)
    assert np.mean(found.images["mse"]) == pytest.approx(found["mse"], rel=1e-6)
    assert found["mse"] == found["mse_masked"]
    # every image has as many values, so the mean over images is that over values
    assert np.mean(np.square(found.wavelengths["rmse"])) == pytest.approx(found["mse"], rel=1e-5)


def test_what_a_contrastive_model_says(of_one_band_set, tmp_path):
    [found] = run_test(of_one_band_set["contrastive"], output=tmp_path)
    assert found.images == {} and found.wavelengths == {}
    assert (found.folder / "metrics.csv").is_file() and not (found.folder / "images.csv").exists()


def test_splits_and_data_that_are_not_there(folder, run, tmp_path, capsys):
    message = fails(capsys, str(run), "--split", "tset", "-o", str(tmp_path / "out"))
    assert "there is no split 'tset'" in message and "train, valid, test" in message
    message = fails(capsys, str(run), "--data", str(tmp_path / "nothing.h5"), "-o", str(tmp_path / "out"))
    assert "there is no such file or folder" in message and "nothing.h5" in message
    message = fails(capsys, str(tmp_path / "no_run"))
    assert "no_run" in message
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="there is no split"):
        make_loader(config(folder / "holes.h5"), "tset")
    with pytest.raises(DataError, match="there is no split 'test'"):
        make_loader(config(folder / "holes.h5"), "test")
    with pytest.raises(RunError):
        run_test(tmp_path / "no_run")
    loader = make_loader(config(folder / "holes.h5", "dataset.valid_key=null", "hparams.monitor=loss_train"), "valid")
    with pytest.raises(DataError, match="there is no validation split"):
        evaluate_model_dataloader(load_trained_model(run), loader, tmp_path / "out")
    loader.close()
    assert not (tmp_path / "out").exists()
