"""The process that opens files for `guard.Guard`: a request a line, an answer a line, both JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from ..core.errors import RunError, SpectrainError
from ..data.raster.rasters import rasterio_package
from . import probes

ASKED: dict[str, Callable[..., Any]] = {
    "raster": probes.raster,
    "vector": probes.vector,
    "table": probes.table,
    "plan": probes.plan,
    "places": probes.places,
    "data_set": probes.data_set,
}


def main() -> None:
    """Answer until the asker closes."""
    _limit(int(sys.argv[1]))
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # what libraries print is no answer
        with contextlib.suppress(SpectrainError):
            rasterio_package()  # the first file is not to blame for the time that this takes
        print("{}", file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(_answer(json.loads(line))), file=out, flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"found": ASKED[request.pop("ask")](**request)}
    except probes.OtherKindError as error:
        return {"what": error.what, "where": error.where, "fix": error.fix, "nothing": True}
    except SpectrainError as error:
        of_run = isinstance(error, RunError)
        return {"what": error.what, "where": error.where, "fix": error.fix, "of_run": of_run}
    except MemoryError:
        return {"what": "reading it takes more memory than it may", "where": None, "fix": "see that it is whole"}
    except Exception as error:  # whatever a library raises on it: the asker goes on without this file
        said = (str(error.__cause__ or error).splitlines() or [""])[0]
        return {"what": f"{type(error).__name__}: {said}", "where": None, "fix": "see that it is whole"}


def _limit(memory_mb: int) -> None:
    """Limit this process' memory, and leave no core where it crashes; where the system has such limits."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in ((resource.RLIMIT_DATA, memory_mb << 20), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
