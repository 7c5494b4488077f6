"""A page in one file: nothing is loaded from elsewhere, and no script runs but its own."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from .html import Html, el


def document(title: str, style: str, script: str, *body: Html) -> str:
    """Return a whole HTML document.

    Args:
        title: of the window.
        style: CSS, after that of all pages (`base.css`).
        script: JavaScript, at the end of the body.
        body: what stands before it; data for the script may be a ``script`` element of type application/json.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    # whatever stands in a run's notes or in metadata: nothing from elsewhere is loaded, no other script runs
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", Html(part("base.css") + style)),
    )
    whole = el("html", head, el("body", *body, el("script", Html(script))), lang="en")
    return f"<!doctype html>\n{whole}\n"


def part(name: str, package: str = __package__) -> str:
    """Return a file that lies beside a package's modules, as text."""
    return (files(package) / name).read_text(encoding="utf-8")
