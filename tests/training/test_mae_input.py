"""Bad and unusual input to masked autoencoding: one clear message and nothing left behind, or it simply trains."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from cube_files import write_cube, write_list
from small_mae import config, cube_of, words, write

import spectrain
from spectrain.cli import main
from spectrain.data.opening import open_patches
from spectrain.training.checkpoint import load_checkpoint

REFLECTANCE = "dataset.transform=log10_reflectance"


@pytest.fixture
def failure(tmp_path, monkeypatch, capsys):
    """Train by the command in an empty folder; return its message, after checking that nothing was left."""
    monkeypatch.chdir(tmp_path)

    def fails(*given: str) -> str:
        before = {item.name for item in tmp_path.iterdir()}
        with pytest.raises(SystemExit) as stopped:
            main(["train", "mae", *given])
        assert stopped.value.code == 1
        assert {item.name for item in tmp_path.iterdir()} == before
        message = capsys.readouterr().err
        assert "Traceback" not in message and "fault of spectrain" not in message
        return message

    return fails


def trained(path: Path, out: Path, *more: str):
    return spectrain.train("mae", overrides=words(path, f"out_dir={out}", *more))


def curves(run) -> dict[str, np.ndarray]:
    with h5py.File(run.folder / "curves.h5") as file:
        return {name: held[()] for name, held in file.items()}


def images(path: Path, train: np.ndarray, valid: np.ndarray | None = None) -> Path:
    """Write images [N,C,H,W] of two splits."""
    with h5py.File(path, "w") as file:
        file["train"], file["valid"] = train, train if valid is None else valid
    return path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype(np.float32)


def listed(folder: Path, participants: list[str], **more: list[str]) -> Path:
    """Write a cube a participant, and their list."""
    rows = []
    for number, participant in enumerate(participants):
        cube, wavelengths = noise(6, 8, 8, seed=number), np.linspace(400, 900, 6)
        file = write_cube(folder / f"{number}.h5", cube, "Cube/Images", Cube__Wavelengths=wavelengths)
        rows.append({"hs_file": file.name, "participant": participant, **{k: v[number] for k, v in more.items()}})
    return write_list(folder / "list.csv", rows)


@pytest.mark.parametrize("wrong", [0.0, -0.2, np.nan, np.inf])
def test_what_has_no_logarithm_counts_as_missing(tmp_path, wrong):
    cube, wavelengths = cube_of(slice(0, None, 4))
    rng = np.random.default_rng(0)
    holes = rng.random(cube.shape) < 0.05
    holes[0] = False  # what is missing in the first band is background, and missing in all
    background = rng.random(cube.shape[1:]) < 0.1
    holes[:, background] = True
    spoilt = np.where(holes, np.float32(wrong), cube)
    run = trained(write(tmp_path / "cube.h5", spoilt, wavelengths), tmp_path / "run", REFLECTANCE, "hparams.epochs=2")
    found = curves(run)
    assert np.isfinite(found["loss_step_train"]).all() and np.isfinite(found["loss_valid"]).all()
    statistics = load_checkpoint(run.checkpoint("last"))["meta"]["statistics"]
    patches = open_patches(tmp_path / "cube.h5", "train", config(tmp_path / "cube.h5").dataset)
    windows = patches.read(np.arange(len(patches))).image
    good = np.isfinite(windows) & (windows > 0)
    assert statistics["count"] == good.sum((0, 2, 3)).tolist()
    values = np.log10(windows[:, 3][good[:, 3]].astype(np.float64))
    assert statistics["mean"][3] == pytest.approx(((values + 3) / 3).mean(), rel=1e-5)


def test_what_is_missing_has_no_say(tmp_path):
    """Whatever stands in the holes, the training is the same to the last bit."""
    cube, wavelengths = cube_of(slice(0, None, 4))
    holes = np.random.default_rng(0).random(cube.shape) < 0.1
    holes[0] = False  # nothing measured there is no background, 0 measured there is
    weights = []
    for number, wrong in enumerate((0.0, -0.2, np.nan)):
        path = write(tmp_path / f"{number}.h5", np.where(holes, np.float32(wrong), cube), wavelengths)
        run = trained(path, tmp_path / f"run{number}", REFLECTANCE, "hparams.epochs=1")
        weights.append(load_checkpoint(run.checkpoint("last"))["model"])
    for name, value in weights[0].items():
        assert all((other[name] == value).all() for other in weights[1:]), name


@pytest.mark.parametrize("model", [[], ["model=spectral_autoencoder"]])
def test_images_that_are_nothing_but_holes(tmp_path, model):
    train = noise(12, 6, 8, 8)
    train[3:9] = np.nan
    path = images(tmp_path / "images.h5", train)
    more = ["dataset.window=null", "hparams.batch_size=1", "hparams.epochs=2", f"out_dir={tmp_path / 'run'}"]
    kept = [item for item in words(path, *more) if not (model and item.startswith("model"))]
    run = spectrain.train("mae", overrides=[*kept, *model])
    found = curves(run)
    # a step of nothing but holes has no loss
    assert np.isnan(found["loss_step_train"]).sum() == 2 * 6
    assert np.isfinite(found["loss_train"]).all() and np.isfinite(found["loss_valid"]).all()
    weights = load_checkpoint(run.checkpoint("last"))["model"]
    assert all(value.isfinite().all() for value in weights.values())


def test_images_of_nothing_in_a_batch_with_others(tmp_path):
    train = noise(12, 6, 8, 8)
    path = images(tmp_path / "images.h5", train)
    spoilt = np.concatenate([train, np.full((4, 6, 8, 8), np.nan, np.float32)])
    more = ["dataset.window=null", "hparams.batch_size=16", "hparams.epochs=3"]
    run = trained(images(tmp_path / "more.h5", spoilt, train), tmp_path / "more", *more)
    found = curves(run)
    assert np.isfinite(found["loss_step_train"]).all()
    alone = curves(trained(path, tmp_path / "alone", *more))
    np.testing.assert_allclose(found["loss_step_train"][0], alone["loss_step_train"][0], rtol=0.2)


def test_nothing_but_holes(tmp_path, failure):
    path = images(tmp_path / "images.h5", np.full((4, 3, 8, 8), np.nan, np.float32))
    assert "has no valid value" in failure(*words(path, "dataset.window=null"))


def test_splits_of_different_bands(tmp_path, failure):
    path = images(tmp_path / "images.h5", noise(4, 6, 8, 8), noise(4, 5, 8, 8))
    message = failure(*words(path, "dataset.window=null"))
    assert "the model was trained on 6 bands, the data have 5; missing: band_6" in message
    assert "images.h5, valid" in message


def test_learned_positions_and_other_bands(tmp_path, failure, capsys):
    cube, wavelengths = cube_of()
    path = write(tmp_path / "thirty.h5", cube, wavelengths)
    learned = ["model.positions=learned", "hparams.epochs=1", "model.patch_size=[4,5]"]
    run = trained(path, tmp_path / "run", *learned)
    twelve = write(tmp_path / "twelve.h5", cube[:12], wavelengths[:12])
    before = {item.name for item in run.folder.iterdir()}
    with pytest.raises(SystemExit) as stopped:
        main(["test", str(run.folder), "--data", str(twelve)])
    assert stopped.value.code == 1
    assert {item.name for item in run.folder.iterdir()} == before
    message = capsys.readouterr().err
    assert "learned positions are for 2 x 2 tokens of 6 band groups, these images have 2 x 2 of 3" in message
    assert "model.positions=pixels" in message
    message = failure(*words(twelve, *learned, "model.in_chans=30"))
    assert "learned positions are for 30 bands, the data have 12" in message
    assert "model.positions=pixels" in message


@pytest.mark.parametrize("masking", ["random", "tube", "spectral"])
def test_a_patch_larger_than_the_image(tmp_path, failure, masking):
    path = write(tmp_path / "cube.h5", *cube_of(slice(0, 5)))
    message = failure(*words(path, "model.patch_size=[25,5]", f"model.masking={masking}"))
    assert "hold one unit to mask" in message
    assert "make tokens smaller (model.patch_size), or choose another model.masking" in message


def test_a_patch_larger_than_the_image_with_several_band_groups_trains(tmp_path):
    run = trained(write(tmp_path / "cube.h5", *cube_of()), tmp_path / "run", "model.patch_size=[25,5]")
    assert np.isfinite(curves(run)["loss_train"]).all()


def test_heads_that_do_not_divide(tmp_path, failure):
    path = write(tmp_path / "cube.h5", *cube_of(slice(0, 5)))
    message = failure(*words(path, "model.encoder_num_heads=3", "model.decoder_num_heads=5"))
    assert "3 heads do not divide a token of 16" in message
    assert "5 heads do not divide a token of 8" in message
    assert "1, 2, 4, 8, 16 do" in message


def test_a_row_without_a_file(tmp_path, failure):
    path = listed(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "2.h5").unlink()
    message = failure(*words(path, "dataset.window=null"))
    assert "1 of 4 rows have no cube that can be read" in message
    assert "line 4" in message and "2.h5: there is no such file" in message
    assert "correct these rows or take them out" in message


def test_a_participant_in_two_splits(tmp_path, failure):
    path = listed(tmp_path, ["ann", "bob", "ann", "cyd"], split=["train", "train", "valid", "valid"])
    message = failure(*words(path, "dataset.window=null"))
    assert "1 of 3 groups are in two splits: 'ann' in train and valid" in message
    assert "list.csv" in message and "give all images of a group the same split" in message


def test_a_dataset_that_is_missing(tmp_path, failure):
    path = listed(tmp_path, ["a", "b", "c", "d"])
    message = failure(*words(path, "dataset.window=null", "dataset.cube_key=/Cube/Image"))
    assert "there is no dataset '/Cube/Image'" in message
    assert "did you mean 'Cube/Images'?" in message
    assert "those present: Cube/Images (6, 8, 8) float32, Cube/Wavelengths" in message


def test_cubes_of_different_bands_in_one_list(tmp_path, failure):
    path = listed(tmp_path, ["a", "b", "c", "d"])
    write_cube(tmp_path / "3.h5", noise(5, 8, 8), "Cube/Images", Cube__Wavelengths=np.linspace(400, 900, 5))
    message = failure(*words(path, "dataset.window=null"))
    assert "the files are not of the same bands: 5 bands in place of 6" in message
    assert "3.h5" in message


def test_a_model_of_one_band_set_refuses_a_mixture(tmp_path, failure):
    paths = [write(tmp_path / "a.h5", *cube_of(slice(0, 8))), write(tmp_path / "b.h5", *cube_of(slice(0, 5)))]
    kept = [item for item in words(paths) if not item.startswith("model")]
    message = failure(*kept, "model=spectral_autoencoder")
    assert "the model takes one band set, the data have a second: 8 and 5 bands" in message
    assert "model=mae_small" in message


def test_one_of_a_mixture_is_too_small_for_its_micro_batches(tmp_path, failure):
    paths = [write(tmp_path / "a.h5", *cube_of(slice(0, 8))), write(tmp_path / "b.h5", *cube_of(slice(0, 5), (8, 24)))]
    message = failure(*words(paths, "hparams.accumulate_grad_batches=4", "hparams.batch_size=2"))
    assert "2 samples are too few for the 4 micro-batches of a step" in message
    assert "b.h5, train" in message
    assert "hparams.accumulate_grad_batches" in message


def test_a_cube_of_another_name_is_pointed_at(failure, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scene"] = noise(6, 16, 16)
    assert "dataset.cube_key=scene" in failure("dataset.path=a.h5")


def test_options_that_hardly_go_with_the_images_are_doubted(tmp_path, caplog):
    path = images(tmp_path / "a.h5", noise(6, 6, 8, 8))
    trained(path, tmp_path / "wide", "model.patch_size=[25,2]")
    assert "set model.patch_size=[2,2]" in caplog.text and "6 of 6 bands have no wavelength" in caplog.text
    trained(path, tmp_path / "deep", "model.patch_size=[4,8]")
    assert "set model.patch_size=[4,1]" in caplog.text


def test_a_training_without_doubts_says_none_and_a_finished_one_says_so(tmp_path, caplog):
    path = listed(tmp_path, list("abcd"))
    run = trained(path, tmp_path / "run", "hparams.epochs=1")
    assert not [record for record in caplog.records if "wavelength" in record.message or "token" in record.message]
    spectrain.train(resume=run.folder)
    assert "nothing is left to train after epoch 1" in caplog.text
