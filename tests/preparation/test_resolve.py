"""Options of prepare: from files, flags and words; everything that is wrong is said at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spectrain.config.option import options_of
from spectrain.core.errors import ConfigError
from spectrain.preparation.options import KINDS, PRESETS, PrepareOptions
from spectrain.preparation.resolve import resolve

GIVEN = ["data_dir=in", "train_data_dir=out"]
DOCUMENT = """
[darts.wandb]
wandb-project = "darts"
[darts.sweep]
n-trials = 100
sweep-db = "postgresql://pguser@localhost:5432/sweeps"
n_folds = 3
[darts.training]
num-workers = 16
max-epochs = 60
early-stopping-patience = 0
[darts.hyperparameters]
batch-size = 6
augment = true
[darts.training_preprocess]
ee-project = "your-ee-project"
tpi-outer-radius = 100
tpi-inner-radius = 0
bands = ['blue', 'ndvi']
patch-size = 896
overlap = 0
exclude-nopositive = false
exclude-nan = false
test-val-split = 0.05
test-regions = ['Taymyrsky Dolgano-Nenetsky District']
[darts.paths]
data-dir = "/data/planet"
labels-dir = "../labels"
arcticdem-dir = "/dem"
tcvis-dir = "/tcvis"
admin-dir = "/admin"
train-data-dir = "/out"
preprocess-cache = "/cache"
sweep-config = "configs/planet-tcvis-sweep.yaml"
artifact-dir = "/artifacts"
[other]
anything = 1
"""


def test_the_document_is_accepted_as_printed(tmp_path):
    (tmp_path / "config.toml").write_text(DOCUMENT)
    options = resolve("planet", tmp_path / "config.toml")
    assert (options.patch_size, options.overlap, options.exclude_nan) == (896, 0, False)
    assert options.bands == ["blue", "ndvi"] and options.tpi_outer_radius == 100
    assert options.test_regions == ["Taymyrsky Dolgano-Nenetsky District"] and options.ee_project == "your-ee-project"
    assert options.mask_erosion_size == 10 and options.scheduler is None


def test_the_command_line_wins_and_lists_add_up(tmp_path):
    (tmp_path / "c.toml").write_text('[darts]\npatch-size = 100\nbands = ["a"]\nseed = 3\n')
    flags = ["--bands", "red", "--bands", "nir", "--patch-size", "64", "--no-exclude-nan", "--exclude-nopositive"]
    options = resolve("s2", tmp_path / "c.toml", GIVEN, flags)
    assert options.bands == ["red", "nir"] and options.patch_size == 64 and options.seed == 3
    assert not options.exclude_nan and options.exclude_nopositive


def test_switches_that_begin_with_no():
    assert resolve("scenes", None, GIVEN, ["--no-shards"]).no_shards
    assert not resolve("scenes", None, [*GIVEN, "no_shards=false"]).no_shards


def test_patterns_in_a_list():
    words = [*GIVEN, "images=[a=x/{scene}.tif, b=y/{scene}.tif]", "formulas=[n=min(a, b), m=a+b in -1..1]"]
    options = resolve("scenes", None, words)
    assert options.images == ["a=x/{scene}.tif", "b=y/{scene}.tif"]
    assert options.formulas == ["n=min(a, b)", "m=a+b in -1..1"]


def test_other_names_of_options():
    assert resolve("s2", None, ["sentinel2_dir=x", "train-data-dir=y"]).data_dir == "x"


def test_every_mistake_at_once(tmp_path):
    (tmp_path / "c.toml").write_text("[darts]\npatch-sizes = 100\noverlap = -1\nnum-workers = 2\n")
    with pytest.raises(ConfigError) as caught:
        resolve("scenes", tmp_path / "c.toml", ["exclude_nann=true", "seed=x"], ["--format", "zip"])
    text = str(caught.value)
    assert text.startswith("5 mistakes")
    for part in (
        "did you mean patch_size?",
        "c.toml:2",
        "must be at least 0",
        "did you mean exclude_nan?",
        "seed",
        "zarr, npy",
    ):
        assert part in text
    assert "num_workers" not in text


SHOTS = ["labels=points", "points=a.csv", "points_value=v"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "data_dir: must be given"),
        ([*GIVEN, "overlap=256"], "overlap: 256 px are not less"),
        ([*GIVEN, "test_regions=a"], "needs the polygons"),
        ([*GIVEN, "limits=[1]"], "two values"),
        ([*GIVEN, "folds=1"], "at least two"),
        ([*GIVEN, "bands=[a,a]"], "a is there twice"),
        ([*GIVEN, "seed=1", "seed=2"], "is given twice"),
        ([*GIVEN, "split_table=a.csv", "blocks=3"], "give one of them"),
        ([*GIVEN, "test_val_split=0.5", "test_split=0.5"], "nothing to train on"),
        ([*GIVEN, "tpi_inner_radius=100"], "not less than"),
        ([*GIVEN, "labels=points", "points_value=v"], "points: must be given where labels are points"),
        ([*GIVEN, "labels=points", "points=a.csv"], "points_value: must be given"),
        ([*GIVEN, "points=a.csv", "points_value=v"], "give labels=points"),
        ([*GIVEN, *SHOTS, "points_xy=lon"], "points_xy: are two columns, not 1"),
        ([*GIVEN, *SHOTS, "label_kind=classes"], "points are values"),
        ([*GIVEN, *SHOTS, "extent=hull"], "labels are points"),
    ],
)
def test_what_does_not_go_together(words, what):
    with pytest.raises(ConfigError, match=re.escape(what)):
        resolve("scenes", None, words)


def test_a_kind_that_there_is_not():
    with pytest.raises(ConfigError, match="did you mean planet"):
        resolve("plannet")


def test_presets_name_options():
    assert set(PRESETS) == set(KINDS)
    assert all(set(preset) <= set(options_of(PrepareOptions)) for preset in PRESETS.values())


def test_the_page_lists_every_option():
    page = (Path(__file__).parents[2] / "docs" / "prepare.md").read_text().partition("## Options")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert list(rows) == list(options_of(PrepareOptions))
    assert all(rows[name].strip() == option.doc for name, option in options_of(PrepareOptions).items())


def test_expressions_are_read_as_they_are_written():
    rule = "l4_quality_flag == 1 and beam in ['BEAM0101', 'BEAM0110'] and 0 < agbd_se / agbd < 0.5"
    found = resolve("scenes", None, [*GIVEN, *SHOTS[:2], f"points-filter={rule}"], ["--points-value", "rh[98] / 100"])
    assert (found.points_filter, found.points_value) == (rule, "rh[98] / 100")
