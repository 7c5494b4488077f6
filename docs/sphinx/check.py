"""Look at the built site as a browser would: links and anchors lead somewhere, nothing is fetched from elsewhere.

``python docs/sphinx/check.py build/site`` exits with 1 and names what is wrong. Links to other hosts are not followed
(there may be no network); they are listed in ``external-links.txt`` beside the folder.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Tags whose address a browser opens by itself -> the attribute."""


class Page(HTMLParser):
    """What a page links to, what it fetches, and the anchors in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        said = dict(attrs)
        if said.get("id"):
            self.anchors.add(str(said["id"]))
        if tag == "a" and said.get("href"):
            self.links.append(str(said["href"]))
        elif tag in FETCHED and said.get(FETCHED[tag]):
            self.fetched.append(str(said[FETCHED[tag]]))


def look(folder: Path) -> tuple[list[str], list[str]]:
    """Return what is wrong with a built site, and the addresses on other hosts that it links to."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    wrong, elsewhere = [], set()
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for address in page.fetched:
            if urlsplit(address).netloc:
                wrong.append(f"{name} fetches {address}")
        for address in [*page.links, *page.fetched]:
            said = urlsplit(address)
            if said.scheme in ("http", "https"):
                elsewhere.add(address)
                continue
            if said.scheme:
                continue
            target = (path.parent / unquote(said.path)).resolve() if said.path else path
            if not target.is_file():
                wrong.append(f"{name} links to {address}, which is not there")
            elif said.fragment and target in pages and unquote(said.fragment) not in pages[target].anchors:
                wrong.append(f"{name} links to {address}, and there is no such anchor")
    for path in sorted(folder.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        wrong += [
            f"{path.relative_to(folder)} fetches from elsewhere"
            for word in ("url(http", "url(//", "@import")
            if word in text
        ]
    return wrong, sorted(elsewhere)


def main(folder: Path) -> int:
    """Print what is wrong; return the exit code."""
    wrong, elsewhere = look(folder)
    (folder.parent / "external-links.txt").write_text("".join(f"{address}\n" for address in elsewhere))
    print(
        "\n".join(wrong) or f"{folder}: every link leads somewhere; {len(elsewhere)} lead elsewhere and were not tried"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
