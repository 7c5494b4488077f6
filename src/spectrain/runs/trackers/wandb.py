"""Weights & Biases, offline by default: files in the run's folder ``wandb``, which ``wandb sync`` can send."""

from __future__ import annotations

import time
from typing import Any

from .base import Event, TrackedRun, Tracker


class WandbTracker(Tracker):
    """Epoch values drawn over the epoch, interval values over the optimiser step.

    Offline it needs neither account nor network. A run that goes on has the same id in a further offline folder; a
    point that is logged again after a cut-back stands beside its older self, and the later one counts.
    """

    title = "Weights & Biases"

    def start(self, run: TrackedRun) -> dict[str, str]:
        """Begin an offline run, or go on with the one of the same id."""
        import wandb

        options = run.cfg.wandb
        # it names the folder by the second, and would write over that of a run stopped and resumed within one
        while any((run.folder / "wandb").glob(f"*run-{time.strftime('%Y%m%d_%H%M%S')}-*")):
            time.sleep(0.05)
        # console, machine and code are not its business: the run folder has them, and hooks slow training down
        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_machine_info=True,
        )
        self._run: Any = wandb.init(
            mode="online" if options.mode == "key" else options.mode,
            dir=str(run.folder),
            project=options.project or run.experiment,
            entity=options.entity,
            group=options.group or run.run_name,
            job_type=run.cfg.trial_name,
            name=run.run_name,
            id=run.run_id,
            resume="allow",
            notes=run.cfg.general.notes or None,
            config=run.options(),
            reinit="create_new",
            settings=settings,
        )
        self._run.define_metric("epoch")
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="epoch")
        self._run.define_metric("interval/*", step_metric="step")
        return {"run_id": run.run_id, "folder": str(self._run.settings.sync_dir)}

    def metrics(self, event: Event) -> None:
        """Log the event's values as one row; its number in the journal is the row's step, which only rises."""
        where = {"epoch": event.epoch, "step": event.step, "time": event.time}
        self._run.log({**where, **event.values}, step=event.serial)

    def picture(self, event: Event) -> None:
        """Log the PNG."""
        import wandb

        image = wandb.Image(str(event.path), caption=f"epoch {event.epoch}")
        self._run.log({"epoch": event.epoch, "step": event.step, f"plots/{event.name}": image}, step=event.serial)

    def finish(self, status: str) -> None:
        """End the run; anything but "finished" counts as a failure with Weights & Biases."""
        self._run.finish(exit_code=0 if status == "finished" else 1)
