"""What loading a trained model costs."""

from __future__ import annotations

import pytest
import torch

from spectrain import Bands
from spectrain.config import load_config
from spectrain.training.trained.model import NothingDrawn

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("contrastive", ["model.backbone=resnet18"]),
        ("mae", ["model=mae_tiny"]),
        ("mae", ["model=spectral_autoencoder"]),
        ("segmentation", ["model.encoder=tu-test_resnet"]),
        ("segmentation", ["model=dense_tokens", "model.encoder_depth=2"]),
        ("regression", ["model=unet"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_no_weight_is_drawn_that_a_checkpoint_overwrites(recipe, words):
    """A large masked autoencoder takes seven seconds for it."""
    cfg = load_config(recipe, overrides=["dataset.path=data.h5", *words], use_personal=False)
    more = {} if recipe in ("contrastive", "mae") else {"channels": 2}

    def built():
        torch.manual_seed(0)
        before = torch.get_rng_state()
        network = cfg.model.build(bands=Bands.unnamed(5), image_size=(64, 64), **more)
        return network, not torch.equal(before, torch.get_rng_state())

    drawn, chance = built()
    with NothingDrawn():
        empty, chance_again = built()
    assert chance and not chance_again
    assert list(empty.state_dict()) == list(drawn.state_dict())
    for name, buffer in drawn.named_buffers():
        torch.testing.assert_close(dict(empty.named_buffers())[name], buffer)
