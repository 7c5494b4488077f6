"""The published form (its own weights, its own arithmetic) and ours are the same function with the same gradient."""

from __future__ import annotations

import pytest
import torch
from model_contract import batch_of, part_of, statistics
from published_mae import PublishedMae, published_state

from spectrain.core.bands import Bands
from spectrain.inference.weights.spectraleye import network_weights, published_names
from spectrain.losses.mae_spectral import MAESpectralLoss
from spectrain.models.banded import build_banded
from spectrain.models.masking import Plan
from spectrain.models.tokens import Grid, cut, join, take
from spectrain.tasks.mae import MaskedAutoencoding

SIZES = {
    "embed_dim": 24,
    "encoder_depth": 3,
    "encoder_num_heads": 3,
    "decoder_embed_dim": 16,
    "decoder_depth": 2,
    "decoder_num_heads": 2,
    "patch_size": [4, 2],
    "positions": "learned",
    "standardise": "none",
}
PUBLISHED_LOSS = MAESpectralLoss(1, 0, 0, 0, 1, spectral_sum_normalised=False)
KEEP = 10


def pair(class_token=False):
    torch.manual_seed(3)
    published = PublishedMae(16, 6, 4, 2, 24, 3, 3, 16, 2, 2, class_token=class_token)
    for parameter in published.parameters():  # biases, norms and tokens that are not what they begin as
        parameter.data += 0.1 * torch.randn_like(parameter)
    ours = build_banded(
        part_of("mae_spectral", **SIZES, class_token=class_token),
        bands=Bands.unnamed(6),
        statistics=statistics(6),
        image_size=(16, 16),
        seed=1,
    )
    ours.network.load_state_dict(network_weights(published_names(published_state(published), "here")))
    return published, ours


def drawn(count=3):
    """Images, the noise that the published form masks by, and the same as a plan."""
    generator = torch.Generator().manual_seed(4)
    image, noise = torch.rand(count, 6, 16, 16, generator=generator), torch.rand(count, 48, generator=generator)
    order = noise.argsort(1)
    return image, noise, Plan(order[:, :KEEP], None, order[:, KEEP:], None)


@pytest.mark.parametrize("class_token", [False, True])
def test_predictions_are_the_published_ones(class_token):
    published, ours = pair(class_token)
    image, noise, plan = drawn()
    with torch.no_grad():
        expected, mask = published(image, noise, KEEP)
        tokens = ours.tokens(batch_of(image))
        hidden = ours(tokens, plan)
        everything = ours(tokens, plan, everything=True)
    torch.testing.assert_close(hidden, take(expected, plan.predicted), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(everything[:, :KEEP], take(expected, plan.visible), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(everything[:, KEEP:], hidden, rtol=1e-5, atol=1e-5)
    assert (take(mask[..., None], plan.predicted) == 1).all() and mask.sum() == 3 * 38


@pytest.mark.parametrize("class_token", [False, True])
def test_loss_and_gradients_are_the_published_ones(class_token):
    published, ours = pair(class_token)
    image, noise, plan = drawn()
    prediction, mask = published(image, noise, KEEP)
    expected = published.loss(image, prediction, mask)
    expected.backward()
    ours.network.plan = lambda tokens, key, index: plan
    found = MaskedAutoencoding(PUBLISHED_LOSS).loss(ours.train(), batch_of(image)).loss.mean
    found.backward()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    gradients = {name: parameter.grad for name, parameter in published.named_parameters()}
    published.load_state_dict(gradients)  # so that they go the same way as the weights
    wanted = network_weights(published_names(published_state(published), "here"))
    for name, parameter in ours.network.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-5, msg=name)


def test_tokens_are_in_the_published_order_and_come_back():
    published, ours = pair()
    image, _, _ = drawn()
    tokens = ours.tokens(batch_of(image))
    assert torch.equal(tokens.values, published.patchify(image))
    assert torch.equal(ours.images(tokens.values, tokens), image)
    assert torch.equal(published.unpatchify(tokens.values), image)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 31), (3, 4), (1, 1)])
def test_cut_and_join_undo_each_other(height, width):
    grid = Grid.of(6, height, width, 4, 2)
    image = torch.rand(2, 6, height, width)
    tokens = cut(image, grid)
    assert tokens.shape == (2, grid.tokens, grid.values)
    assert torch.equal(join(tokens, grid), image)
    torch.testing.assert_close(tokens.sum(), image.sum())  # what is beyond the border is 0


def test_an_embedding_of_tokens_is_the_convolution():
    published, ours = pair()
    image, _, _ = drawn()
    expected = published.proj(image[:, None]).flatten(3).permute(0, 2, 3, 1).flatten(1, 2)
    found = ours.network.encoder.embed(ours.tokens(batch_of(image)).values)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
