"""A configuration with the attributes that runs use, for tests that are not about configurations."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class FakeGeneral:
    seed: int = 3
    notes: str = ""
    experiment_name: str | None = None
    debug: bool = False


@dataclass(frozen=True)
class FakeDataset:
    path: str | None = "ocean.h5"
    fold: int | None = None


@dataclass(frozen=True)
class FakePart:
    name: str = "tiny_net"


@dataclass(frozen=True)
class FakeMlflow:
    experiment_name: str | None = None
    run_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    tracking_uri: str | None = None
    log_model: bool = True


@dataclass(frozen=True)
class FakeWandb:
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    mode: str = "offline"


@dataclass(frozen=True)
class FakeTensorboard:
    folder: str = "log"


@dataclass(frozen=True)
class FakeConfig:
    artifact_dir: str
    recipe: str = "contrastive"
    run_name: str | None = None
    run_id: str | None = None
    trial_name: str | None = None
    out_dir: str | None = None
    all_checkpoint_dir: str | None = None
    trackers: tuple[str, ...] = ()
    general: FakeGeneral = FakeGeneral()
    dataset: FakeDataset = FakeDataset()
    model: FakePart = FakePart()
    mlflow: FakeMlflow = FakeMlflow()
    wandb: FakeWandb = FakeWandb()
    tensorboard: FakeTensorboard = FakeTensorboard()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_yaml(self) -> str:
        sections = (f"{key}: {json.dumps(value)}  # recipe contrastive" for key, value in self.to_dict().items())
        return "\n".join(sections) + "\n"

    def but(self, **changes: Any) -> FakeConfig:
        return replace(self, **changes)
