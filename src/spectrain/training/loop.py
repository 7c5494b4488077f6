"""The training loop: one for every task, in the order in which things happen."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import atomic_link
from ..core.distributed import world_size
from ..core.errors import RunError
from ..runs.progress import ProgressLine
from ..runs.run import Run
from .checkpoint import save_checkpoint
from .drawing import Drawing, on_host
from .evaluate import Evaluation, evaluate
from .interrupts import StopRequest
from .processes.parallel import agree, is_main
from .profiling import Profiler
from .published import published_row
from .session import Session
from .state import State
from .step import optimiser_step


@dataclass
class Training:
    """A session, where it stands, and where it writes.

    Everything that decides the result is in ``state`` and the configuration, so a run that continues from a
    checkpoint takes the same path as one that was never stopped.

    Attributes:
        meta: what each checkpoint says of itself (bands, statistics, configuration, names).
        line: the live progress line.
        stop: set when somebody asked the training to stop.
        profiler: counts steps, and writes a trace where one was asked for.
        checkpoints: False writes none; for an epoch without a run folder.
        saved_at: when ``last`` was written.
        save_seconds: how long a checkpoint took to write.
    """

    session: Session
    run: Run
    state: State
    meta: dict[str, Any]
    line: ProgressLine
    stop: StopRequest
    profiler: Profiler
    checkpoints: bool = True
    saved_at: float = 0.0
    save_seconds: float = 0.0
    _saved: tuple[tuple[int, int, int], Path] | None = None

    def __post_init__(self) -> None:
        self.clock = Clock(self.session)
        self.drawing = Drawing()
        self.saved_at = time.monotonic()

    def fit(self) -> str:
        """Train to the last epoch, or until early stopping or a request to stop; return the run's status."""
        hparams, progress = self.session.cfg.hparams, self.state.progress
        if hparams.skip_training:
            self.save("best")
            self.save("last")
            return "finished"
        if progress.epoch:  # the checkpoint's curves: a killed process left those of before it, or of after
            self.run.write_curves(self.state.curves.arrays())
        try:
            while progress.epoch < hparams.epochs and not progress.stopped:
                if not self.train_epoch():
                    self.save("last")
                    return "interrupted"
                self.end_epoch()
            self.save("last")
            return "finished"
        finally:
            self.drawing.finish()  # the report shows every figure

    def train_epoch(self) -> bool:
        """Train from where the epoch stands to its end; return False where a request to stop came first."""
        session, hparams = self.session, self.session.cfg.hparams
        progress, curves, order = self.state.progress, self.state.curves, self.session.train_order
        session.train.patches.check()
        steps = order.steps(progress.epoch, start=progress.step_in_epoch)
        raws = iter(session.train.loader.load(itertools.chain.from_iterable(steps)))
        self.clock.start(progress.step)

        while progress.step_in_epoch < order.steps_per_epoch:
            rate = session.learning_rate(progress.step)
            for group in session.optimizer.param_groups:
                group["lr"] = rate
            losses = optimiser_step(session, raws, order.micro_batches, progress.epoch, progress.step)
            curves.train.add(losses)
            curves.lr.append(rate)
            progress.step += 1
            progress.step_in_epoch += 1
            self.profiler.step()

            at_end = progress.step_in_epoch == order.steps_per_epoch
            at_log = progress.step % hparams.log_every == 0 or at_end
            if at_log:
                self.fetch_losses()
                first = max(sum(curves.train_lengths), (progress.step - 1) // hparams.log_every * hparams.log_every)
                values = {"loss_train": curves.train.mean("loss", first), "lr": rate, **self.clock.lap(progress.step)}
                self.run.log_interval(values, step=progress.step, epoch=progress.epoch + 1)
                self.line.interval(progress.epoch + 1, progress.step_in_epoch, values)
            if self.asked_to_stop(at_log):
                return False
            if not at_end and self.checkpoint_is_due(at_log):
                self.save("last")
        curves.train_lengths.append(order.steps_per_epoch)
        return True

    def end_epoch(self) -> None:
        """Validate, note the epoch, keep what is worth keeping, and move on to the next epoch."""
        hparams, progress, curves = self.session.cfg.hparams, self.state.progress, self.state.curves
        number, last = progress.epoch + 1, progress.epoch + 1 == hparams.epochs
        row: dict[str, float] = {}
        start = sum(curves.train_lengths[:-1])
        row |= {f"{name}_train": curves.train.mean(name, start) for name in curves.train.names}
        row["lr"] = curves.lr[-1]
        best = False
        if number % hparams.valid_interval == 0 or last:
            row |= self.validate(number)
            monitored = self.monitored(row)
            best = progress.observe(monitored, hparams.monitor_mode)
            if hasattr(self.session.schedule, "observe"):
                self.session.schedule.observe(monitored, hparams.monitor_mode)
            patience = hparams.early_stopping_patience
            progress.stopped = bool(patience) and progress.bad_validations >= patience
        curves.epochs.append(row)
        progress.epoch, progress.step_in_epoch = number, 0

        published = published_row(row, self.session.task.published, self.session.cfg.dataset.fold)
        self.run.log_epoch(row | published, epoch=number, step=progress.step)
        self.line.epoch(number, row, best=best)
        if best:
            self.save("best")
        every = hparams.save_freq
        if every is None:  # a folder for them is named where they are wanted
            every = int(bool(self.session.cfg.all_checkpoint_dir))
        if every and number % every == 0:
            self.save(f"epoch_{number:04d}")
        if not last and self.checkpoint_is_due(agreed=True, at_epoch_end=True):
            self.save("last")
        # after the checkpoint, whose writing a figure is drawn beside: the two would wait for each other's Python
        self.run.write_curves(curves.arrays())

    def validate(self, number: int) -> dict[str, float]:
        """Evaluate the validation split and draw its first batch; an empty row where there is no such split."""
        session, curves = self.session, self.state.curves
        if session.valid is None or session.valid_order is None:
            return {}
        session.valid.patches.check()
        found = evaluate(session, session.valid, session.valid_order)
        curves.valid.names = found.losses.names
        curves.valid.sums += found.losses.sums
        curves.valid.weights += found.losses.weights
        curves.valid_lengths.append(len(found.losses))
        interval, last = session.cfg.hparams.plot_interval, number == session.cfg.hparams.epochs
        if interval and (last or self.state.progress.validations % interval == 0):
            self.draw(found, number)
        values = found.values("valid")
        return values if session.probe is None else values | session.probe(session)

    def draw(self, found: Evaluation, number: int) -> None:
        """Let the task draw a validation batch, on the process that writes, in a thread beside the training."""
        session, run, at = self.session, self.run, self.state.progress.step
        if not found.shown or session.valid is None or not is_main():
            return
        (step, batch), source = on_host(found.shown[0]), session.valid

        def draw() -> None:
            if (figure := session.picture(step, batch, source)) is not None:
                run.picture(session.cfg.task.name, figure, epoch=number, step=at)
            for name, drawn in (found.figures() if found.figures is not None else {}).items():
                run.picture(name, drawn, epoch=number, step=at)

        self.drawing.add(draw)

    def monitored(self, row: dict[str, float]) -> float:
        """Return the value that decides what is best."""
        return row[self.session.monitor]

    def fetch_losses(self) -> None:
        """Bring the waiting losses to the host, and stop at the first that is not a number."""
        steps = self.state.curves.train
        before = len(steps)
        steps.fetch()
        for number, sums in enumerate(steps.sums[before:], start=before + 1):
            if not all(math.isfinite(value) for value in sums):
                raise RunError(
                    f"the loss of step {number} is not finite",
                    where=f"epoch {self.state.progress.epoch + 1}",
                    fix="lower optimizer.lr, set hparams.gradient_clipping=1, or look at the data with "
                    "`spectrain inspect`; checkpoints from before this step are kept",
                )

    def asked_to_stop(self, at_log: bool) -> bool:
        """Say whether the processes stop now; several can agree only where they all are, at a log interval."""
        if world_size() == 1:
            return self.stop.asked
        return at_log and bool(agree(float(self.stop.asked), self.session.device))

    def checkpoint_is_due(self, agreed: bool, at_epoch_end: bool = False) -> bool:
        """Say whether ``hparams.checkpoint_every`` has passed.

        At an epoch's end a checkpoint is also due where writing it takes under a twentieth of the time since the
        last one: then little is lost at little cost.
        """
        if not self.checkpoints:
            return False
        every = self.session.cfg.hparams.checkpoint_interval
        steps, seconds = every.steps, every.seconds
        if steps and self.state.progress.step % steps == 0:
            return True
        passed = time.monotonic() - self.saved_at
        late = bool(seconds and passed >= seconds) or (at_epoch_end and passed >= 20 * self.save_seconds)
        if world_size() == 1:
            return late
        return agreed and bool(agree(float(late), self.session.device))

    def save(self, name: str) -> None:
        """Write the checkpoint ``name``; under FSDP every process takes part.

        Where the training stands as when the last one was written (its best epoch is its last), that file gets a
        second name: half the time and half the space. For the same reason it becomes ``last`` too, from which a
        killed run goes on; where there are no links, that one waits for its time.
        """
        begin = time.monotonic()
        path, progress = self.run.checkpoint(name), self.state.progress
        at = progress.epoch, progress.step, progress.step_in_epoch
        before, self._saved = self._saved, (at, path)
        linked = world_size() == 1 and before is not None and before[0] == at and atomic_link(path, before[1])
        if not linked:
            self.fetch_losses()
            record = self.state.record(self.session)
            if is_main():
                save_checkpoint(path, record, self.meta)
            self.save_seconds = time.monotonic() - begin
        # the main process alone knows; the others need not, as one that finds it late is enough
        if name == "last" or not is_main() or atomic_link(self.run.checkpoint("last"), path):
            self.saved_at = time.monotonic()


class Clock:
    """Samples a second and the share of time spent waiting for data, by log interval and in all."""

    def __init__(self, session: Session) -> None:
        self.samples_per_step = session.train_order.samples_per_step
        self.loader = session.train.loader
        self.samples, self.seconds, self.waiting = 0, 0.0, 0.0

    def start(self, step: int) -> None:
        """Begin an epoch at ``step``."""
        self.time, self.waited, self.step = time.monotonic(), self.loader.waited_s, step

    def lap(self, step: int) -> dict[str, float]:
        """Return the rates since the last lap (or the start of the epoch)."""
        samples = (step - self.step) * self.samples_per_step
        seconds, waiting = time.monotonic() - self.time, self.loader.waited_s - self.waited
        self.start(step)
        self.samples, self.seconds, self.waiting = (
            self.samples + samples,
            self.seconds + seconds,
            self.waiting + waiting,
        )
        return rates(samples, seconds, waiting)

    def totals(self) -> dict[str, float]:
        """Return the rates over all training steps so far; validation and saving do not count."""
        return {**rates(self.samples, self.seconds, self.waiting), "training_s": self.seconds}


def rates(samples: int, seconds: float, waiting: float) -> dict[str, float]:
    """Return samples a second, and the share of the time that was spent waiting for data."""
    seconds = max(seconds, 1e-9)
    return {"samples_per_s": samples / seconds, "data_wait": waiting / seconds}
