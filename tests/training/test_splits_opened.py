"""Folders that lack a split, or are one: what is said names the option that mends it."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from spectrain.config import load_config
from spectrain.core.errors import ConfigError, DataError
from spectrain.training.inputs.opened import open_split


@pytest.fixture
def roots(tmp_path):
    """Images and labels of train, val and test, whose names are the same in all splits."""
    for root in ("A", "B"):
        for split in ("train", "val", "test"):
            (tmp_path / root / split).mkdir(parents=True)
            np.save(tmp_path / root / split / "0.npy", np.ones((3 if root == "A" else 1, 4, 4), "f4"))
    return tmp_path / "A", tmp_path / "B"


def opened(images, labels=None, *more, key="valid_key"):
    words = [f"dataset.path={images}", *([f"dataset.labels_path={labels}"] if labels else []), *more]
    return open_split(load_config("regression", overrides=words).dataset, key)


def advice(*places, **options):
    with pytest.raises(DataError) as caught:
        opened(*places, **options)
    return str(caught.value.fix)


@pytest.mark.parametrize("lacking", ["A", "B", "AB"])
def test_without_a_validation_the_splits_that_there_are_are_named_as_options(roots, lacking):
    for root in lacking:
        shutil.rmtree(roots[0].parent / root / "val")
    said = advice(*roots)
    assert said.startswith("dataset.valid_key=test validates on test, which then is no test any more; ")
    assert "dataset.valid_key=null trains without validation" in said and "dataset.valid_key=train" not in said
    assert len(opened(*roots, "dataset.valid_key=test")) == 1


def test_without_a_training_split_too(roots):
    for root in roots:
        shutil.rmtree(root / "train")
    assert advice(*roots, key="train_key") == "take one that there is: dataset.train_key=valid, dataset.train_key=test"


def test_names_are_those_that_the_data_know(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["train"] = file["evaluation"] = np.ones((2, 1, 4, 4), "f4")
    assert "dataset.valid_key=evaluation validates on evaluation;" in advice(tmp_path / "data.h5")


def test_the_folder_of_one_split_is_told_by_those_beside_it(roots):
    images, labels = roots
    assert advice(images / "train", key="train_key").endswith(f"dataset.path={images}")
    assert advice(images / "train", labels / "train", key="train_key").endswith(f"dataset.path={images}")
    assert advice(images, labels / "train").endswith(f"dataset.labels_path={labels}")  # which have the same names


def test_of_other_failures_what_they_say_stays(roots):
    images, labels = roots
    np.save(labels / "val" / "0.npy", np.ones((1, 9, 9), "f4"))
    assert "of the height and width of their image" in advice(images, labels)


def test_an_option_of_another_part_is_said_to_be():
    with pytest.raises(ConfigError, match="it is an option of model=unet: leave it out, or choose that; model smp has"):
        load_config("regression", flags=["--num_ch", "3"], overrides=["model=smp"])
