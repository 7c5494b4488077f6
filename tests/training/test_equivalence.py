"""Processes and micro-batches add up to one whole batch: loss, gradient, weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from steps_of import RESNETS, steps_of, steps_of_all, write_data
from warm_processes import together

pytestmark = pytest.mark.usefixtures("narrow")

KINDS = ["toy_mean", "toy_class_map", "toy_dense", "toy_sparse"]
SHARDED = ["toy_sparse", "contrastive"]  # how weights are shared has no part in how losses add up: not every kind
HALF = ["hparams.batch_size=4"]
PLAIN = ["model.batch_norm=false"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "toy.h5")


@pytest.fixture(scope="module")
def whole(data):
    cases = {(kind, norm): [] if norm else PLAIN for kind in [*KINDS, "contrastive"] for norm in (True, False)}
    return {case: steps_of(data, case[0], more) for case, more in cases.items()}


@pytest.fixture(scope="module")
def two_processes(data, tmp_path_factory):
    """Every case once in a world of two processes, in one start."""
    folder = tmp_path_factory.mktemp("two")
    cases = {}
    for kind in [*KINDS, "contrastive"]:
        cases[f"{kind} ddp norm"] = (kind, HALF)
        cases[f"{kind} ddp plain"] = (kind, [*HALF, *PLAIN])
    for kind in SHARDED:
        cases[f"{kind} fsdp plain"] = (kind, [*HALF, *PLAIN, "general.parallel=fsdp"])
        cases[f"{kind} fsdp norm"] = (kind, [*HALF, "general.parallel=fsdp"])
    for kind in RESNETS:
        cases[f"{kind} ddp"] = (kind, HALF)
        cases[f"{kind} ddp recomputed"] = (kind, ["hparams.batch_size=2", "hparams.accumulate_grad_batches=2"])
    cases["resnet_supcon fsdp recomputed"] = (
        "resnet_supcon",
        ["hparams.batch_size=2", "hparams.accumulate_grad_batches=2", "general.parallel=fsdp"],
    )
    quarter = ["hparams.batch_size=2", "hparams.accumulate_grad_batches=2"]
    for parallel in ("ddp", "fsdp"):
        cases[f"toy_sparse {parallel} accumulated"] = (
            "toy_sparse",
            [*quarter, *PLAIN, f"general.parallel={parallel}"],
        )
        cases[f"contrastive {parallel} cached"] = ("contrastive", [*quarter, *PLAIN, f"general.parallel={parallel}"])
    together(steps_of_all, data, cases, folder / "out")
    return [torch.load(folder / f"out.{rank}", weights_only=True) for rank in range(2)]


def assert_same(found: dict, wanted: dict) -> None:
    torch.testing.assert_close(torch.tensor(found["losses"]), torch.tensor(wanted["losses"]), rtol=1e-5, atol=1e-5)
    # the whole state of a sharded model is put together on the first process alone
    for part in ("gradients", "weights") if found["weights"] else ("gradients",):
        assert list(found[part]) == list(wanted[part])
        for name, value in wanted[part].items():
            torch.testing.assert_close(
                found[part][name], value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("norm", [True, False], ids=["norm", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_two_micro_batches_equal_one_batch(data, whole, kind, norm):
    more = [*HALF, "hparams.accumulate_grad_batches=2", *([] if norm else PLAIN)]
    assert_same(steps_of(data, kind, more), whole[kind, norm])


@pytest.mark.parametrize("norm", ["norm", "plain"])
@pytest.mark.parametrize(
    ("kind", "parallel"), [*((kind, "ddp") for kind in [*KINDS, "contrastive"]), *((kind, "fsdp") for kind in SHARDED)]
)
def test_two_processes_equal_one(two_processes, whole, kind, parallel, norm):
    assert two_processes[0][f"{kind} {parallel} {norm}"]["weights"]
    for result in two_processes:
        assert_same(result[f"{kind} {parallel} {norm}"], whole[kind, norm == "norm"])


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_processes_and_micro_batches_together_equal_one_batch(two_processes, whole, parallel):
    for result in two_processes:
        assert_same(result[f"toy_sparse {parallel} accumulated"], whole["toy_sparse", False])


def test_the_sparse_cases_had_unequal_labels_and_a_process_without_any(two_processes):
    own = [result["toy_sparse ddp plain"]["own"] for result in two_processes]
    assert any(first != second for first, second in zip(*own, strict=True))
    assert 0.0 in own[0] + own[1]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_gradient_caching_in_two_processes_equals_one_batch(two_processes, whole, parallel):
    for result in two_processes:
        assert_same(result[f"contrastive {parallel} cached"], whole["contrastive", False])


@pytest.fixture(scope="module")
def whole_resnets(data):
    return {kind: steps_of(data, kind, []) for kind in RESNETS}


@pytest.fixture(scope="module")
def whole_resnets_in_float64(data):
    return {kind: steps_of(data, kind, [], double=True) for kind in RESNETS}


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("kind", RESNETS)
def test_accumulation_of_the_real_model_equals_one_batch(data, whole_resnets, kind, count):
    """Batch norm and its running statistics too: what is computed again in backward is counted once."""
    more = [f"hparams.batch_size={8 // count}", f"hparams.accumulate_grad_batches={count}"]
    assert_same(steps_of(data, kind, more), whole_resnets[kind])


def test_a_set_smaller_than_a_step_is_one_step(data, whole_resnets):
    more = ["hparams.batch_size=5", "hparams.accumulate_grad_batches=4"]
    assert_same(steps_of(data, "resnet_simclr", more), steps_of(data, "resnet_simclr", ["hparams.batch_size=20"]))


@pytest.mark.parametrize(
    "case",
    [*(f"{kind} ddp{how}" for kind in RESNETS for how in ("", " recomputed")), "resnet_supcon fsdp recomputed"],
)
def test_the_real_model_in_two_processes_equals_one(two_processes, whole_resnets_in_float64, case):
    """In float64: the rounding of another order of additions grows through eighteen norms over a few pixels."""
    assert two_processes[0][case]["weights"]
    for result in two_processes:
        assert_same(result[case], whole_resnets_in_float64[case.split()[0]])


def test_accumulated_batch_norm_by_micro_batch_is_another_thing(data, whole):
    more = [*HALF, "hparams.accumulate_grad_batches=2", "general.sync_batchnorm=false"]
    found = steps_of(data, "toy_dense", more)
    assert found["losses"] != whole["toy_dense", True]["losses"]


@pytest.mark.parametrize("optimizer", [["optimizer=adamw"], ["optimizer=sgd"]])
def test_a_step_without_any_label_moves_nothing(data, optimizer):
    # one image a step: most have no label, and weight decay and momentum would move the weights all the same
    more = ["hparams.batch_size=1", "model.batch_norm=false", *optimizer]
    before = steps_of(data, "toy_sparse", more, steps=0)
    for seed in range(20):
        found = steps_of(data, "toy_sparse", [*more, f"general.seed={seed}"], steps=1)
        start = steps_of(data, "toy_sparse", [*more, f"general.seed={seed}"], steps=0)
        moved = any(not torch.equal(found["weights"][name], start["weights"][name]) for name in before["weights"])
        assert moved == (found["own"] != [0.0])
        if not moved:
            return
    pytest.fail("no seed drew an image without labels")
