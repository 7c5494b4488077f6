"""TensorBoard: event files in the run's folder, drawn over optimiser steps."""

from __future__ import annotations

from typing import Any

from .base import Event, TrackedRun, Tracker


class TensorBoardTracker(Tracker):
    """Writes the whole journal anew at each start, so that a run that was cut back shows nothing twice.

    Scalars are stored in double precision (as tensors of the scalars plugin), the same bits as in `metrics.csv`.
    """

    title = "TensorBoard"
    replays = True

    def start(self, run: TrackedRun) -> dict[str, str]:
        """Remove the run's event files and begin new ones."""
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / run.cfg.tensorboard.folder
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        # purge_step: a TensorBoard that is open on this folder forgets what it has read
        self._writer: Any = SummaryWriter(log_dir=str(folder), purge_step=0)
        self._writer.add_text("config.yaml", f"```yaml\n{run.cfg.to_yaml()}\n```", 0)
        return {"log_dir": str(folder)}

    def metrics(self, event: Event) -> None:
        """Write each value at the event's step and time."""
        for name, value in event.values.items():
            self._writer.add_scalar(name, value, event.step, walltime=event.time, new_style=True, double_precision=True)
        self._writer.flush()

    def picture(self, event: Event) -> None:
        """Write the PNG as an image of the event's step."""
        import numpy as np
        from PIL import Image

        with Image.open(event.path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(event.name, pixels, event.step, walltime=event.time, dataformats="HWC")
        self._writer.flush()

    def finish(self, status: str) -> None:
        """Close the files."""
        self._writer.close()
