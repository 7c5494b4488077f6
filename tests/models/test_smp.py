"""Encoders and decoders by name: the contract, the document's pairs, padding, weights from files, refusals."""

from __future__ import annotations

import pytest
import torch
from model_contract import ModelContract, batch_of, images, part_of, statistics

from spectrain.core.bands import Bands
from spectrain.core.errors import DataError
from spectrain.models.banded import build_banded
from spectrain.models.smp import SmpNetwork

ARCHS = ["Unet", "MAnet", "UPerNet", "Segformer"]
ENCODERS = ["resnet50", "resnext50_32x4d", "mit_b2", "tu-convnextv2_tiny", "tu-maxvit_tiny_rw_224"]
PAIRS = [  # each decoder and each encoder at once, and every pair in the slow tests
    pytest.param(arch, encoder, marks=[] if place % len(ARCHS) == number else pytest.mark.slow)
    for place, encoder in enumerate(ENCODERS)
    for number, arch in enumerate(ARCHS)
]


class TestUnet(ModelContract):
    name = "smp"
    options = {"arch": "Unet", "encoder": "tu-test_efficientnet"}  # noqa: RUF012
    size = (32, 32)

    def output_shape(self, count, size):
        return (count, 1, *size)


def network(arch, encoder, size=(64, 64), bands=10, channels=1, **options):
    part = part_of("smp", arch=arch, encoder=encoder, **options)
    return build_banded(
        part,
        bands=Bands.unnamed(bands),
        statistics=statistics(bands),
        image_size=size,
        seed=0,
        channels=channels,
    )


@pytest.mark.parametrize(("arch", "encoder"), PAIRS)
def test_every_pair_of_the_document_takes_ten_bands(arch, encoder):
    with torch.device("cpu" if encoder.startswith("mit") else "meta"):  # which looks at its numbers
        net = SmpNetwork(arch, encoder, in_channels=10, channels=3)
    net.rehearse(10, (96, 80))
    assert net.multiple == (224 if "maxvit" in encoder else 32)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_pair_of_the_document_steps(arch, encoder):
    model = network(arch, encoder)
    optimizer = torch.optim.AdamW(model.parameters())
    before = [parameter.detach().clone() for parameter in model.parameters()]
    model(batch_of(images(2, 10, (64, 64)))).square().mean().backward()
    optimizer.step()
    assert (
        sum(bool((one != other).any()) for one, other in zip(before, model.parameters(), strict=True)) > len(before) / 2
    )


def test_padding_is_cut_off_and_shows_the_mean():
    model = network("Unet", "resnet18", (40, 50)).eval()
    image = images(1, 10, (40, 50))
    padded = torch.nn.functional.pad(model.inputs(batch_of(image)), (0, 14, 0, 24))
    with torch.no_grad():
        torch.testing.assert_close(model(batch_of(image)), model.network(padded)[..., :40, :50])


def test_it_is_the_packages_own_network():
    import segmentation_models_pytorch as smp

    net = SmpNetwork("Unet", "resnet18", in_channels=4, channels=2).eval()
    theirs = smp.Unet("resnet18", encoder_weights=None, in_channels=4, classes=2).eval()
    names = {"head.": "segmentation_head."}
    state = {
        next((new + name[len(old) :] for old, new in names.items() if name.startswith(old)), name): value
        for name, value in net.state_dict().items()
    }
    theirs.load_state_dict(state)
    image = images(1, 4, (64, 64))
    with torch.no_grad():
        assert torch.equal(net(image), theirs(image))


def test_weights_of_an_encoder_for_other_bands_are_spread(tmp_path, caplog):
    caplog.set_level("INFO")
    theirs = SmpNetwork("FPN", "resnet18", in_channels=3, channels=1).encoder.state_dict()
    torch.save({"state_dict": {f"encoder.{name}": value for name, value in theirs.items()}}, tmp_path / "e.pt")
    net = SmpNetwork("Unet", "resnet18", in_channels=6, channels=1, weights=str(tmp_path / "e.pt"))
    own = net.encoder.state_dict()
    assert torch.equal(own["layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])
    assert torch.allclose(own["conv1.weight"].sum(1), theirs["conv1.weight"].sum(1), atol=1e-6)
    assert "is for 3 bands and is spread over 6" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "Uent"}, "no decoder 'Uent'; did you mean 'Unet'"),
        ({"encoder": "resnet51"}, "no encoder 'resnet51'; did you mean 'resnet"),
        ({"encoder": "tu-convnextv2_tinny"}, "did you mean 'tu-convnextv2_tiny"),
        ({"arch": "UnetPlusPlus", "encoder": "mit_b0"}, "UnetPlusPlus does not go with the encoder mit_b0"),
        ({"encoder_weights": "./nothing.pt"}, "no such weights"),
    ],
)
def test_what_cannot_be_built_is_refused_before_training(options, message):
    with pytest.raises(DataError, match=message):
        network(**{"arch": "Unet", "encoder": "tu-test_efficientnet", **options})


def test_weights_of_another_encoder_are_refused(tmp_path):
    torch.save(SmpNetwork("FPN", "resnet18", 3, 1).encoder.state_dict(), tmp_path / "e.pt")
    with pytest.raises(DataError, match="weights of the encoder are not in the file"):
        SmpNetwork("FPN", "resnet34", 3, 1, weights=str(tmp_path / "e.pt"))


def test_a_size_that_an_encoder_cannot_take_is_refused(monkeypatch):
    monkeypatch.setattr("spectrain.models.smp.multiple_of", lambda encoder: 32)
    with pytest.raises(DataError, match=r"cannot take images of 64 × 64 px: height .* must be divisible by window"):
        network("Unet", "tu-maxvit_tiny_rw_224")
