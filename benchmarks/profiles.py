"""What a training step of each task consists of: operators, copies and waits, and where its time goes.

    python benchmarks/run.py profiles
    python benchmarks/profiles.py contrastive    operators of one task, by stage and by what they cost

Ten steps of the loop are profiled (`torch.profiler`) after three others, on one thread: the demos' recipes, with images
made up where a demo prepares its own, and four images a step, so that what a step does besides its arithmetic weighs
more than it ever does in a training. "Operators" are calls into torch that no other operator made, reading included;
"bare" are those of forward, loss, backward and optimiser alone, on a batch that is there already. "Copies" are tensors
of more than one number that were written anew. "Waits" are numbers that the host read from a tensor (outside the
optimiser, which on a CPU reads the number of each update): one in a step, whether any label counted, is not there on a
GPU, and what the order of the samples reads never is. Counts are the same on every machine, shares of the time are not;
the profiler itself costs some microseconds an operator and so weighs small ones too heavily.

"model" is the share of forward with loss, backward and optimiser; "batch" is values and augmentation, "other" reading,
the order of the samples, dividing and clipping the gradient, freeing the last one, learning rate and losses.

What was found and removed; operators a step went from 1127 to 757 (contrastive), 1399 to 1132 (mae), 838
to 629 (segmentation) and 794 to 575 (regression):

- The order of the samples was drawn step by step, in 200 to 400 operators of a few microseconds; now 4096 at once,
  which lies before the steps that are counted here (an epoch draws twice at least).
- The masked autoencoder worked out the sines of its places twice a step, and the bins of its loss nine times.

Left as they are: torch's fused Adam copies each channels-last gradient on a CPU (a hundredth of a step's time), and
only a view that counts on how its kernel is written would spare it; dividing the gradient is a pass over it that a loss
divided before backward would save, but then accumulated batches would not add up to one; freeing gradients and taking
them anew is what torch advises.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from step import endless, labelled

STEPS, FIRST = 10, 3
STAGES = ("batch", "forward", "backward", "optimiser", "other")
WAITS = ("aten::_local_scalar_dense", "aten::nonzero")


def rows() -> list[dict[str, object]]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return [row_of(task, Path(folder)) for task in ("contrastive", "mae", "segmentation", "regression")]


def row_of(task: str, folder: Path) -> dict[str, object]:
    events, bare = of_task(task, folder)
    seconds = times(events)
    whole = sum(seconds.values())
    shares: dict[str, object] = {stage: seconds[stage] / whole for stage in STAGES}
    model = sum(seconds[stage] for stage in ("forward", "backward", "optimiser")) / whole
    return {
        "task": task,
        "operators": a_step(events, is_outermost),
        "bare": a_step(bare, is_outermost),
        "copies": a_step(events, is_copy),
        "bare copies": a_step(bare, is_copy),
        "waits": a_step(events, is_wait),
        "model": model,
        **shares,
    }


def a_step(events: list[Any], chosen: Callable[[Any], bool]) -> float:
    """Return how many of the events there are a step."""
    return sum(map(chosen, events)) / sum(event.name == "step" for event in events)


def is_copy(event: Any) -> bool:
    return event.name == "aten::copy_" and math.prod(event.input_shapes[0]) > 1


def is_wait(event: Any) -> bool:
    return event.name in WAITS and stage_of(event) != "optimiser"


def is_outermost(event: Any) -> bool:
    parent = event.cpu_parent
    return event.name.startswith("aten::") and (parent is None or not parent.name.startswith("aten::"))


def stage_of(event: Any) -> str:
    """Return the innermost stage that an operator belongs to."""
    while event is not None:
        if event.name in STAGES:
            return str(event.name)
        event = event.cpu_parent
    return "other"


def times(events: list[Any]) -> Counter[str]:
    """Return the microseconds of each stage; what no stage holds is "other"."""
    found: Counter[str] = Counter()
    for event in events:
        if event.name in STAGES or event.name == "step":
            found["other" if event.name == "step" else event.name] += event.cpu_time_total
            if event.name != "step":
                found["other"] -= event.cpu_time_total
    return found


def of_task(task: str, folder: Path) -> tuple[list[Any], list[Any]]:
    """Return the profiler's events of steps of the task's demo, and of bare ones on one batch."""
    from spectrain.core.random import Key
    from spectrain.training.step import optimiser_step

    session = session_of(task, folder)
    stream = endless(session)
    losses = curves()
    resident = session.prepare(next(stream), session.train, Key(0, "augment"), augment=True)

    def loop(number: int) -> None:
        for group in session.optimizer.param_groups:
            group["lr"] = session.learning_rate(number)
        losses.add(optimiser_step(session, stream, 1, 0, number))

    def alone(number: int) -> None:
        session.optimizer.zero_grad(set_to_none=True)
        loss = session.task.loss(session.parallel.forward, resident).loss
        loss.mean.backward()
        session.optimizer.step()

    mark(session)
    found = profiled(loop, STEPS), profiled(alone, STEPS // 3)
    session.close()
    return found


def profiled(action: Callable[[int], None], steps: int) -> list[Any]:
    """Return the events of ``steps`` steps after `FIRST` others."""
    for number in range(FIRST):
        action(number)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, record_shapes=True, acc_events=True) as profile:
        for number in range(steps):
            with torch.profiler.record_function("step"):
                action(FIRST + number)
    return list(profile.events())


def curves() -> Any:
    from spectrain.training.curves import StepLosses

    return StepLosses()


def session_of(task: str, folder: Path) -> Any:
    """Return the training of the task's demo; segmentation and regression on images of their demos' kind."""
    from spectrain.config import load_config
    from spectrain.demos import DATA, FOLDER
    from spectrain.training.session import build_session

    path = DATA.get(task)
    if task == "segmentation":
        path = labelled(folder, 128, 4)
    if task == "regression":
        path = labelled(folder, 128, 4, measured=0.01)
    options = [f"dataset.path={path}", "hparams.batch_size=4", "general.device=cpu", "general.threads=1"]
    return build_session(load_config(task, FOLDER / f"{task}.yaml", options, use_personal=False))


def mark(session: Any) -> None:
    """Let the stages of a step name themselves to the profiler."""
    for of, name, stage in (
        (session, "training_batch", "batch"),
        (session.task, "loss", "forward"),
        (session.optimizer, "step", "optimiser"),
    ):
        setattr(of, name, named(getattr(of, name), stage))
    if not hasattr(torch.Tensor.backward, "named"):
        torch.Tensor.backward = named(torch.Tensor.backward, "backward")  # type: ignore[method-assign]
        torch.Tensor.backward.named = True  # type: ignore[attr-defined]


def named(action: Callable[..., Any], stage: str) -> Callable[..., Any]:
    def marked(*args: Any, **kwargs: Any) -> Any:
        with torch.profiler.record_function(stage):
            return action(*args, **kwargs)

    return marked


def lines(task: str) -> Iterator[str]:
    """Yield the operators of a step by stage: how often, and their own microseconds."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        events, _ = of_task(task, Path(folder))
    for stage, time in times(events).items():
        yield f"{stage}: {time / STEPS:.0f} us"
    for stage in STAGES:
        count: Counter[str] = Counter()
        own: Counter[str] = Counter()
        for event in events:
            if event.name not in (*STAGES, "step") and stage_of(event) == stage:
                count[event.name] += 1
                own[event.name] += event.self_cpu_time_total
        for name, time in own.most_common(40):
            yield f"{stage:9} {name:60} {count[name] / STEPS:8.2f} {time / STEPS:9.1f} us"


if __name__ == "__main__":
    for line in lines(*sys.argv[1:]):
        print(line)
