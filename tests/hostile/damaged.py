"""Reads damaged files, many to a process that is asked for them line by line.

    python damaged.py FOLDER

A line of the input is a JSON list [kind, first seed, count]; the answer is a line with what went wrong and how many
were fine or refused. ``[kind, seed, 1]`` repeats one. What went wrong is kept under FOLDER/kept.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

import numpy as np
from forked import DIED, FINE, HUNG, REFUSED, Outcome, outcomes
from kinds import KINDS
from mutations import mutated


class Damaged:
    """One kind of file in a folder of its own, with one of its files damaged at a time."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.record = kind, folder / kind, KINDS[kind]
        self.folder.mkdir(parents=True)
        # written in a child: a library that has started threads here could not be forked
        written = next(outcomes(lambda _: self._write(), [0], seconds=120, memory=8 << 30))
        assert written.kind == FINE, written.text
        self.path = Path((self.folder.parent / f"{kind}.path").read_text())
        self.files = self.record.files(self.folder)
        self.whole = {file: file.read_bytes() for file in self.files}

    def _write(self) -> None:
        path = self.record.write(self.folder)
        (self.folder.parent / f"{self.kind}.path").write_text(str(path))

    def file_of(self, seed: int) -> Path:
        return self.files[int(np.random.default_rng([seed, 1]).integers(len(self.files)))]

    def put(self, file: Path, content: bytes) -> None:
        """Write a file anew and not over the old one, which a library may still have open."""
        file.with_name("new").write_bytes(content)
        file.with_name("new").replace(file)

    def read(self, seed: int) -> None:
        """Damage the file that a seed names, read, and make it whole again."""
        file = self.file_of(seed)
        self.put(file, mutated(self.whole[file], seed)[0])
        try:
            self.record.read(self.path)
        finally:
            self.mend(seed)

    def mend(self, seed: int) -> None:
        """Make the file whole again that a seed names."""
        self.put(self.file_of(seed), self.whole[self.file_of(seed)])

    def unnamed(self, one: Outcome) -> bool:
        """Say whether a message does not name what it is about."""
        names = {self.path.name, self.file_of(one.item).name, self.path.parent.name}
        return one.kind == REFUSED and not any(name in one.text for name in names)

    def keep(self, one: Outcome) -> str:
        """Keep the damaged file and say how to repeat it."""
        file = self.file_of(one.item)
        content, change = mutated(self.whole[file], one.item)
        kept = self.folder.parent / "kept" / f"{self.kind}-{one.item}-{file.name}"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(content)
        kind = "no file named" if one.kind == REFUSED else one.kind
        damage = f"{change} in {file.relative_to(self.folder)}, kept as {kept}"
        return f"{self.kind}, seed {one.item} ({damage}): {kind}\n{one.text}"


def served(folder: Path, answers: TextIO) -> None:
    """Answer each line."""
    import toy_plugin  # noqa: F401

    import spectrain.data.opening
    import spectrain.training.trained.model  # noqa: F401

    for line in sys.stdin:
        kind, first, count = json.loads(line)
        shutil.rmtree(folder / kind, ignore_errors=True)
        case = Damaged(kind, folder)
        whole = next(outcomes(lambda _, case=case: case.record.read(case.path), [0], seconds=60))
        assert whole.kind == FINE, f"{kind} cannot be read undamaged: {whole.text}"
        counts, wrong, native, slowest = Counter(), [], [], 0.0
        for one in outcomes(case.read, range(first, first + count), case.mend):
            counts[one.kind] += 1
            slowest = max(slowest, one.seconds)
            if case.record.native and one.kind in (DIED, HUNG):
                native.append(case.keep(one))
            elif one.kind not in (FINE, REFUSED) or case.unnamed(one):
                wrong.append(case.keep(one))
        found = {"kind": kind, "counts": counts, "wrong": wrong, "native": native, "slowest": slowest}
        print(json.dumps(found), file=answers, flush=True)
        shutil.rmtree(folder / kind)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    served(Path(sys.argv[1]), answers)
