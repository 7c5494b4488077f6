"""Weights from files: what is taken, what is kept, and what is refused."""

from __future__ import annotations

import logging
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spectrain.core.errors import DataError
from spectrain.models.dense import DenseNetwork
from spectrain.models.unet import UNet
from spectrain.models.weights import load_weights


class Small(nn.Module):
    def __init__(self, outputs=2, bands=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(bands, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, outputs)


def same(one, other, prefix=""):
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine if name.startswith(prefix))


def test_reads_a_state_dict_a_checkpoint_and_safetensors(tmp_path):
    source = Small()
    state = source.state_dict()
    wrapped = {f"network.{name}": tensor for name, tensor in state.items()}
    torch.save(state, tmp_path / "state.pt")
    torch.save(
        {"format": {"name": "x", "version": 1}, "model": {**wrapped, "mean": torch.zeros(3)}}, tmp_path / "run.pt"
    )
    save_file(state, tmp_path / "model.safetensors")
    for name in ("state.pt", "run.pt", "model.safetensors"):
        network = Small()
        assert load_weights(network, tmp_path / name) == ()
        assert same(network, source), name


@pytest.mark.parametrize("best", [True, False])
def test_a_run_gives_its_best_checkpoint_or_else_its_last(tmp_path, best):
    (tmp_path / "checkpoints").mkdir()
    sources = {"last": Small(), **({"best": Small()} if best else {})}
    for name, source in sources.items():
        torch.save({"model": source.state_dict()}, tmp_path / "checkpoints" / f"{name}.pt")
    network = Small()
    load_weights(network, tmp_path)
    assert same(network, sources["best" if best else "last"])


def test_another_head_keeps_its_fresh_weights_and_says_so(tmp_path, caplog):
    source, network = Small(outputs=5), Small(outputs=2)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    fresh = network.head.weight.clone()
    with caplog.at_level(logging.WARNING):
        kept = load_weights(network, tmp_path / "weights.pt")
    assert kept == ("head.weight", "head.bias")
    assert "head.weight, head.bias" in caplog.text
    assert torch.equal(network.head.weight, fresh)
    assert same(network, source, "encoder")


@pytest.mark.parametrize(
    ("of", "outputs", "head"),
    [
        (DenseNetwork, (3, 5), ["decoder.out.weight", "decoder.out.bias"]),
        (UNet, (3, 5), ["meanlayer.conv.weight", "meanlayer.conv.bias"]),
        (UNet, (2, 1), []),
        (UNet, (1, 2), ["stdlayer.out.0.weight", "stdlayer.out.0.bias"]),
    ],
)
def test_a_network_says_which_weights_are_its_head(tmp_path, monkeypatch, of, outputs, head):
    monkeypatch.setattr("spectrain.models.unet.WIDTH", 8)
    before, after = ({"channels": count, **({"num_ch": 3} if of is UNet else {})} for count in outputs)
    source, network = of(**before), of(**after)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    assert load_weights(network, tmp_path / "weights.pt") == tuple(head)
    mine, theirs = network.state_dict(), source.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items() if name not in head)


def test_an_encoder_that_is_not_there_is_said(tmp_path):
    without = nn.Sequential(nn.Conv2d(3, 4, 3))
    torch.save(Small().state_dict(), tmp_path / "with.pt")
    torch.save(without.state_dict(), tmp_path / "without.pt")
    for network, name, lacking in (
        (without, "without", r"the model \(Sequential\) has none"),
        (without, "with", r"the model \(Sequential\) has none"),
        (Small(), "without", "the file has none"),
    ):
        with pytest.raises(DataError, match=lacking) as raised:
            load_weights(network, tmp_path / f"{name}.pt", part="encoder")
        assert "model.init_part=all" in str(raised.value)
    network, source = Small(outputs=7), Small()
    torch.save(source.state_dict(), tmp_path / "with.pt")
    assert load_weights(network, tmp_path / "with.pt", part="encoder") == ()
    assert same(network, source, "encoder.")


def test_weights_that_do_not_fit_are_listed_and_nothing_is_loaded(tmp_path):
    state = Small(bands=1).state_dict()
    del state["encoder.1.bias"]
    state["decoder.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "weights.pt")
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(DataError) as raised:
        load_weights(network, tmp_path / "weights.pt")
    message = str(raised.value)
    assert "encoder.0.weight is [4, 1, 3, 3] in the file, [4, 3, 3, 3] in the model" in message
    assert "encoder.1.bias is not in the file" in message
    assert "decoder.weight is only in the file" in message
    assert str(tmp_path / "weights.pt") in message
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_long_list_is_cut(tmp_path):
    torch.save({f"other.{number}": torch.zeros(1) for number in range(9)}, tmp_path / "weights.pt")
    with pytest.raises(DataError, match="and 11 more"):
        load_weights(Small(), tmp_path / "weights.pt")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_never_runs_code(tmp_path):
    torch.save({"model": Malicious(str(tmp_path / "harm"))}, tmp_path / "weights.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Malicious(str(tmp_path / "harm"))))
    for name in ("weights.pt", "plain.pt"):
        with pytest.raises(DataError, match="could run code") as raised:
            load_weights(Small(), tmp_path / name)
        assert "weights_only" not in str(raised.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_damaged_file_is_named(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".pt":
        torch.save(Small().state_dict(), path)
    else:
        save_file(Small().state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not weights at all"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read") as raised:
            load_weights(Small(), path)
        assert str(path) in str(raised.value)


def test_what_is_no_weights_is_named(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"model": {"step": 3}}, tmp_path / "numbers.pt")
    for name in ("list.pt", "numbers.pt"):
        with pytest.raises(DataError, match="neither a checkpoint nor a state dict"):
            load_weights(Small(), tmp_path / name)
    with pytest.raises(DataError, match="no such weights"):
        load_weights(Small(), tmp_path / "absent.pt")
    with pytest.raises(DataError, match="holds no checkpoint"):
        load_weights(Small(), tmp_path)
