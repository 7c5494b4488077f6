"""The page of the public names, made from the package; ``docs/python.md`` is its frozen copy.

Run ``python docs/sphinx/python_page.py`` after a change of public names. The site shows each with its signature.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import spectrain

PAGE = Path(__file__).resolve().parents[1] / "python.md"

# heading -> public names
GROUPS: dict[str, list[str]] = {
    "The verbs": [
        "train", "test", "predict", "embed", "prepare", "inspect", "report", "sweep", "export", "import_weights",
        "demo",
    ],
    "For a loop of one's own": [
        "load_config", "build_model", "build_loss", "make_loader", "train_epoch", "learning_rate", "Meter",
        "save_checkpoint", "load_checkpoint", "load_trained_model", "evaluate_model_dataloader",
    ],
    "Parts": ["SupConResNet", "SupConLoss", "MAESpectral", "MAESpectralLoss", "UNet"],
    "Data": ["open_patches", "Band", "Bands", "Batch", "Key"],
    "Plugins": ["register"],
}  # fmt: skip

_HEAD = """# Python

This page is generated (`make docs`). These names, and those of `spectrain.plugin` for
[parts of your own](extending.md), are the whole public interface of the package: `import spectrain` is light, and each
is imported when it is first used. The verbs are the command's, with the same names and arguments;
`help(spectrain.train)` shows what each takes, returns and raises, and so does the site. Everything else may change
without notice.
"""


def summary(name: str) -> str:
    """Return the first paragraph of what a public name says of itself."""
    text = inspect.getdoc(getattr(spectrain, name)) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


def page() -> str:
    """Return the page as plain Markdown."""
    missing = set(spectrain.__all__) - {"__version__", *(name for names in GROUPS.values() for name in names)}
    if missing:
        raise SystemExit(f"public names without a place on the page: {', '.join(sorted(missing))}")
    parts = [_HEAD]
    for heading, names in GROUPS.items():
        rows = [f"| `spectrain.{name}` | {summary(name)} |" for name in names]
        parts.append("\n".join([f"## {heading}", "", "| name | what it is |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


def signatures() -> str:
    """Return the directives by which the site shows every name with its signature and its words."""
    lines = ["", "## In full", ""]
    for names in GROUPS.values():
        for name in names:
            found = getattr(spectrain, name)
            directive = [f".. auto{'class' if inspect.isclass(found) else 'function'}:: spectrain.{name}"]
            if inspect.isclass(found):  # of a network what is called, of the rest what it has
                called = [one for one in ("forward", "features") if hasattr(found, one)]
                directive.append(f"   :members: {', '.join(called)}")
            lines += [f"### {name}", "", "```{eval-rst}", *directive, "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
