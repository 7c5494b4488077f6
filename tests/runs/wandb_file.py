"""Reads the rows of an offline ``.wandb`` file: records framed as in LevelDB's log format, each a protobuf."""

from __future__ import annotations

import json
from pathlib import Path

BLOCK, HEADER = 32768, 7  # bytes; each fragment has crc (4), length (2), type (1)
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path):
    from wandb.proto.wandb_internal_pb2 import Record

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    position, whole = HEADER, b""
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:  # too little is left in the block for a header
            position += BLOCK - position % BLOCK
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        whole += data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
        else:
            assert kind in (FIRST, MIDDLE)


def history(path: Path) -> list[dict]:
    """Return the rows that were logged."""
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(path)
        if record.WhichOneof("record_type") == "history"
    ]


def config(path: Path) -> dict:
    """Return the run's configuration."""
    found = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "run":
            found |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    return found


def run(path: Path):
    """Return where the run is kept: entity, project, group, names."""
    (first, *_) = (record.run for record in records(path) if record.WhichOneof("record_type") == "run")
    return first
