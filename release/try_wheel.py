"""Build the wheel and the source distribution, install them in an empty environment, use them as a newcomer does.

    python release/try_wheel.py UV DIST

What is tried: the source distribution builds the wheel; both hold every file of the package, and the licence; with
no extra installed `spectrain --help` answers in under half a second (DESIGN, "Speed"), the verbs print their help,
a demo of each task that needs no extra trains, and one that needs an extra names it.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELP_S = 0.5
TRIES = 7
VERBS = ("train", "test", "predict", "prepare", "embed", "inspect", "export", "sweep", "report", "demo", "options")


def main(uv: str, dist: Path) -> None:
    """Run all of it; the first thing that does not hold ends it with a line that says which."""
    run(uv, "build", "--quiet", "--clear", "--out-dir", dist, ROOT)
    wheel, source = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))
    complete(wheel, source)
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        run(uv, "venv", "--quiet", "--python", sys.executable, environment)
        python = environment / "bin" / "python"
        constraints = ROOT / "requirements.txt"
        run(
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            python,
            "--compile-bytecode",
            "--constraints",
            constraints,
            wheel,
        )
        use(environment / "bin" / "spectrain", Path(folder))


def complete(wheel: Path, source: Path) -> None:
    """Both archives hold the files of the package that git knows, and the licence."""
    listed = run("git", "-C", ROOT, "ls-files", "src/spectrain").split()
    wanted = {Path(name).relative_to("src").as_posix() for name in listed}
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    require(wanted <= inside, f"{wheel.name} lacks {sorted(wanted - inside)[:5]}")
    require(any(name.endswith("licenses/LICENSE") for name in inside), f"{wheel.name} has no licence")
    foreign = [name for name in inside if not name.startswith(("spectrain/", "spectrain-"))]
    require(not foreign, f"{wheel.name} would put {foreign[:5]} beside the package")
    with tarfile.open(source) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    missing = (set(listed) | {"LICENSE", "README.md", "pyproject.toml"}) - packed
    require(not missing, f"{source.name} lacks {sorted(missing)[:5]}")


def use(command: Path, folder: Path) -> None:
    """The command in an empty folder, without any extra."""
    spent = []
    for _ in range(TRIES):
        start = time.perf_counter()
        run(command, "--help", cwd=folder)
        spent.append(time.perf_counter() - start)
    # The quickest: another program's work beside this one can only make it longer.
    print(f"spectrain --help: {min(spent):.2f} s at best of {TRIES}, {sorted(spent)[TRIES // 2]:.2f} s in the middle")
    require(min(spent) < HELP_S, f"spectrain --help takes {min(spent):.2f} s, more than {HELP_S} s")
    for verb in VERBS:
        require("Usage" in run(command, verb, "--help", cwd=folder), f"spectrain {verb} --help says nothing")
    for recipe, keys in {"contrastive": ["hparams.epochs=1"], "mae": ["hparams.epochs=1"]}.items():
        run(command, "demo", recipe, *keys, cwd=folder)
    require(len(list(folder.glob("runs/*/*/report.html"))) == 2, "the demos left no report")
    ended = subprocess.run([command, "demo", "segmentation"], cwd=folder, capture_output=True, text=True)
    require(
        ended.returncode != 0 and "spectrain[" in ended.stderr, f"a missing extra is not named: {ended.stderr[-300:]}"
    )
    print("the wheel works in an empty environment")


def run(*command: object, cwd: Path = ROOT) -> str:
    """What the command prints; ends the whole with its error where it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    ended = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    require(ended.returncode == 0, f"{' '.join(map(str, command[:4]))} ...: {(ended.stderr or ended.stdout)[-1500:]}")
    return ended.stdout


def require(holds: object, otherwise: str) -> None:
    """End with a line where something does not hold."""
    if not holds:
        sys.exit(f"release/try_wheel.py: {otherwise}")


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve())
