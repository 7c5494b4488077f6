"""MLflow: by default the local store where training started, which a plain ``mlflow ui`` in that folder shows."""

from __future__ import annotations

import getpass
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .base import Event, Refused, TrackedRun, Tracker

if TYPE_CHECKING:
    from ...config.schema import Config

STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
NOT_ALLOWED = re.compile(r"[^\w.\-/ ]")  # in names of metrics and parameters
KIND = "mlflow.experimentKind"  # without it the pages take a training for a conversation
LONGEST_PARAMETER, PARAMETERS_AT_ONCE = 6000, 100


class MlflowTracker(Tracker):
    """Epoch values at step = epoch, interval values at step = optimiser step, pictures under ``plots``.

    The store is ``mlflow.tracking_uri``, else ``MLFLOW_TRACKING_URI``, else what MLflow itself takes in that folder: an
    ``mlruns`` of older MLflows that is there already, otherwise ``mlflow.db``. A run that goes on is the same MLflow
    run; a point that is logged again after a cut-back stands beside its older self, and the later one counts. MLflow
    keeps infinity as the largest number. At the end the best checkpoint lies under ``model``, and beside it
    ``model.json``, which says what it is.
    """

    title = "MLflow"

    def start(self, run: TrackedRun) -> dict[str, str]:
        """Find or make experiment and run; parameters are written once, tags each time."""
        for noisy in ("mlflow.store.db.utils", "mlflow.tracking", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        import mlflow
        from mlflow.entities import Param, RunTag

        uri = run.ids.get("tracking_uri") or run.cfg.mlflow.tracking_uri or mlflow.get_tracking_uri()
        self._run, self._client = run, mlflow.MlflowClient(tracking_uri=uri)
        experiment = self._experiment(str(run.cfg.mlflow.experiment_name or run.experiment))
        tags = {
            "spectrain.run_id": run.run_id,
            "spectrain.run_name": run.run_name,
            "spectrain.folder": str(run.folder),
            "mlflow.note.content": str(run.cfg.general.notes or ""),
            **_source(run),
            **run.cfg.mlflow.tags,
        }
        if run.cfg.mlflow.parent:
            tags["mlflow.parentRunId"] = _parent(self._client, experiment, run.cfg.mlflow.parent)
        found = self._find(experiment, run.run_id)
        if found is None:
            name = run.cfg.mlflow.run_name or run.title
            found = self._client.create_run(experiment, run_name=str(name), tags=tags)
            parameters = [
                Param(NOT_ALLOWED.sub("_", key), str(value)[:LONGEST_PARAMETER]) for key, value in run.options().items()
            ]
            for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
                self._client.log_batch(found.info.run_id, params=parameters[first : first + PARAMETERS_AT_ONCE])
        else:
            self._client.update_run(found.info.run_id, status="RUNNING")
            self._client.log_batch(found.info.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._id = found.info.run_id
        # such an experiment was made through a server, whose files are not to be had without it
        self._keeps_files = uri.startswith("http") or not found.info.artifact_uri.startswith("mlflow-artifacts:")
        return {"tracking_uri": uri, "experiment_id": str(experiment), "run_id": self._id}

    def metrics(self, event: Event) -> None:
        """Log all values of the event in one request."""
        from mlflow.entities import Metric

        step = event.epoch if event.kind == "epoch" else event.step
        values = [
            Metric(NOT_ALLOWED.sub("_", name), value, round(event.time * 1000), step)
            for name, value in event.values.items()
        ]
        with _refusals():
            self._client.log_batch(self._id, metrics=values)

    def picture(self, event: Event) -> None:
        """Keep the file beside the numbers."""
        if self._keeps_files:
            with _refusals():
                self._client.log_artifact(self._id, str(event.path), "plots")

    def finish(self, status: str) -> None:
        """Keep configuration, report and the best model beside the numbers, and end the run."""
        if self._keeps_files:
            for path in self._run.files():
                self._client.log_artifact(self._id, str(path))
        self._client.set_terminated(self._id, status=STATUS[status])
        checkpoint = self._run.best_checkpoint()
        if self._keeps_files and checkpoint is not None and self._run.cfg.mlflow.log_model:
            # last, as a large one may take longer than the end of a training waits
            self._client.log_dict(self._id, self._run.model_facts(checkpoint), "model/model.json")
            self._client.log_artifact(self._id, str(checkpoint), "model")

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if (found := self._client.get_experiment_by_name(name)) is None:
            try:
                return str(self._client.create_experiment(name, tags={KIND: "custom_model_development"}))
            except MlflowException:  # another run made it just now, or MLflow says why not
                if (found := self._client.get_experiment_by_name(name)) is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _find(self, experiment: str, run_id: str) -> Any:
        """Return the MLflow run of this run, also where its name was lost in a crash; None where there is none."""
        return _found(self._client, experiment, run_id)


def end_parent(cfg: Config, values: Mapping[str, float], parameters: Mapping[str, Any], status: str) -> None:
    """End the MLflow run that the runs of a trial are part of (``mlflow.parent``), with what they came to.

    Args:
        cfg: of one of the runs.
        values: of the trial.
        parameters: that it tried.
        status: "finished", "interrupted" or "failed".
    """
    import mlflow
    from mlflow.entities import Metric, Param

    assert cfg.mlflow.parent is not None
    client = mlflow.MlflowClient(tracking_uri=cfg.mlflow.tracking_uri or mlflow.get_tracking_uri())
    of_runs = client.search_runs(
        [one.experiment_id for one in client.search_experiments()],
        f"tags.`spectrain.run_id` = '{cfg.mlflow.parent}'",
        max_results=1,
    )
    if not of_runs:
        return
    run_id, now = of_runs[0].info.run_id, round(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(NOT_ALLOWED.sub("_", name), value, now, 0) for name, value in values.items()],
        params=[Param(NOT_ALLOWED.sub("_", name), str(value)) for name, value in parameters.items()],
    )
    client.set_terminated(run_id, status=STATUS[status])


def _parent(client: Any, experiment: str, name: str) -> str:
    """Find or make the run that others are part of; return its id there."""
    found = _found(client, experiment, name)
    if found is None:
        title = name.rpartition("/")[2]
        found = client.create_run(experiment, run_name=title, tags={"spectrain.run_id": name, "mlflow.runName": title})
    return str(found.info.run_id)


def _found(client: Any, experiment: str, run_id: str) -> Any:
    found = client.search_runs([experiment], f"tags.`spectrain.run_id` = '{run_id}'", max_results=1)
    return found[0] if found else None


def _source(run: TrackedRun) -> dict[str, str]:
    """Return the tags that fill MLflow's own columns: who, by what, of which commit."""
    tags = {"mlflow.source.name": f"spectrain train {run.cfg.recipe}".strip(), "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    if git := run.facts.get("git"):
        tags["mlflow.source.git.commit"] = str(git["commit"])
    return tags


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell an answer that will not change from a failure that may pass."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
            raise Refused(str(error).partition("\n")[0]) from error
        raise
