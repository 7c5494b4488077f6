"""What every model keeps to. A test of a model inherits `ModelContract` and says how the model is built."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import DataError
from spectrain.core.registry import lookup
from spectrain.core.targets import NoTarget
from spectrain.models.banded import BandedModel, build_banded


def statistics(bands: int) -> SimpleNamespace:
    """Means and deviations that differ from 0 and 1 and from band to band."""
    return SimpleNamespace(mean=[0.5 + band for band in range(bands)], std=[1.0 + band for band in range(bands)])


def part_of(name: str, **options: Any) -> SimpleNamespace:
    """The configured model, as the configuration would hold it."""
    part = lookup("model", name)
    chosen = part.Config(**options)
    return SimpleNamespace(options=chosen, build=lambda **context: part.from_config(chosen, **context))


def batch_of(image: torch.Tensor, valid: torch.Tensor | None = None) -> Batch:
    """A batch without labels."""
    index = torch.arange(image.shape[0])
    if valid is None:
        return Batch(image, everywhere(image.shape, image.device), NoTarget(), index, all_valid=True)
    return Batch(image, valid, NoTarget(), index, all_valid=False)


def images(count: int, bands: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Reproducible noise [B,C,H,W]."""
    return torch.randn(count, bands, *size, generator=torch.Generator().manual_seed(seed))


class ModelContract:
    """Inherit, set ``name`` and ``options``, and say what comes out for an image of a size."""

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    size: ClassVar[tuple[int, int]] = (16, 16)

    def output_shape(self, count: int, size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of the output for ``count`` images of ``size``."""
        raise AssertionError("say what comes out")

    @pytest.fixture(autouse=True)
    def _narrow(self, monkeypatch):
        """Nothing here asks how large a network is."""
        for name in ("resnet", "unet"):
            monkeypatch.setattr(f"spectrain.models.{name}.WIDTH", 8)

    def build(self, bands: int = 4, size: tuple[int, int] | None = None, **options: Any) -> BandedModel:
        part = part_of(self.name, **{**self.options, **options})
        return build_banded(
            part,
            bands=Bands.unnamed(bands),
            statistics=statistics(bands),
            image_size=size or self.size,
            seed=1,
        )

    @pytest.mark.parametrize("bands", [1, 4, 14, 30])
    def test_takes_any_number_of_bands(self, bands):
        model = self.build(bands)
        output = model(batch_of(images(2, bands, self.size)))
        assert output.shape == self.output_shape(2, self.size)
        assert output.dtype == torch.float32
        assert output.isfinite().all()

    @pytest.mark.parametrize("size", [(17, 17), (24, 10), (13, 31)])
    def test_takes_odd_and_oblong_images(self, size):
        model = self.build(2, size).eval()
        batch = batch_of(images(2, 2, size))
        assert model(batch).shape == self.output_shape(2, size)
        self.check_features(model, batch, size)

    def check_features(self, model, batch, size):
        strides = []
        for stride, features in model.features(batch):
            strides.append(stride)
            assert features.shape[0] == batch.image.shape[0]
            assert features.shape[2:] == tuple(math.ceil(side / stride) for side in size)
        assert strides == sorted(set(strides))

    def test_every_parameter_learns(self):
        model = self.build()
        output = model(batch_of(images(4, 4, self.size)))
        (output * images(1, 1, (1, output.numel())).reshape(output.shape)).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    def test_is_deterministic_in_evaluation(self):
        model, batch = self.build().eval(), batch_of(images(3, 4, self.size))
        with torch.no_grad():
            assert torch.equal(model(batch), model(batch))

    def test_an_image_does_not_depend_on_its_neighbours_in_evaluation(self):
        model, image = self.build().eval(), images(3, 4, self.size)
        with torch.no_grad():
            torch.testing.assert_close(model(batch_of(image))[:1], model(batch_of(image[:1])), rtol=1e-4, atol=1e-5)

    def test_the_seed_alone_decides_the_first_weights(self):
        one = self.build().state_dict()
        torch.rand(3)
        before = torch.get_rng_state()
        other = self.build().state_dict()
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_saved_weights_give_the_same_bits(self, tmp_path):
        model, batch = self.build(), batch_of(images(3, 4, self.size))
        model(batch)  # moves running statistics away from where they begin
        torch.save(model.state_dict(), tmp_path / "weights.pt")
        other = self.build()
        other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        with torch.no_grad():
            assert torch.equal(model.eval()(batch), other.eval()(batch))

    def test_weights_come_from_a_file(self, tmp_path):
        model = self.build()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        torch.save({"model": model.state_dict()}, tmp_path / "last.pt")
        other = self.build(init_from=str(tmp_path / "last.pt"))
        for name, tensor in model.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[name]), name

    def test_is_exported(self):
        model, x = self.build().eval(), images(2, 4, self.size)
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(model.network, (x,), dynamic_shapes=({0: batch},))
        more = images(5, 4, self.size, seed=1)
        with torch.no_grad():
            torch.testing.assert_close(program.module()(more), model.network(more))

    def test_memory_format_does_not_change_the_result(self):
        model, x = self.build().eval(), images(2, 4, self.size)
        with torch.no_grad():
            expected = model(batch_of(x))
            model = model.to(memory_format=torch.channels_last)
            got = model(batch_of(x.contiguous(memory_format=torch.channels_last)))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("mask_channel", [False, True])
    def test_what_stands_in_a_hole_means_nothing(self, mask_channel):
        model, image = self.build(mask_channel=mask_channel), images(2, 4, self.size)
        valid = images(2, 4, self.size, seed=2) > 0
        results = []
        for stuff in (math.nan, 1e30):
            model.zero_grad()
            output = model(batch_of(torch.where(valid, image, stuff), valid))
            output.square().sum().backward()
            results.append([output.detach(), *(parameter.grad.clone() for parameter in model.parameters())])
        for one, other in zip(*results, strict=True):
            assert one.isfinite().all()
            assert torch.equal(one, other)

    def test_refuses_another_number_of_bands(self):
        with pytest.raises(DataError, match=r"for 4 bands, the images have 3(.|\n)*band_1, band_2, band_3, band_4"):
            self.build(4)(batch_of(images(2, 3, self.size)))
