"""Checks the documents: the README stays short, links lead somewhere, Python snippets compile."""

# ruff: noqa: T201 - it talks to a person at a terminal

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README_LINES = 150
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)|<img[^>]* src=\"(?!https?:)([^\"]+)\"")
SNIPPET = re.compile(r"^(?P<indent> *)```python\n(?P<code>.*?)^ *```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def problems(page: Path) -> Iterator[str]:
    """What is wrong with a page."""
    text = page.read_text(encoding="utf-8")
    for path, anchor, image in LINK.findall(text):
        target = (page.parent / (path or image)).resolve() if path or image else page
        if not target.exists():
            yield f"links to {path or image}, which does not exist"
        elif anchor and anchor not in anchors(target):
            yield f"links to #{anchor}, which is no heading of {target.relative_to(ROOT)}"
    for found in SNIPPET.finditer(text):
        line = text[: found.start()].count("\n") + 2
        try:
            # Snippets may await at the top level, as a shell does.
            compile(textwrap.dedent(found["code"]), str(page), "exec", flags=0x2000)
        except SyntaxError as exc:
            yield f"has a snippet at line {line} that does not compile: {exc.msg}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.read_text(encoding="utf-8")))
    return {heading.replace(" ", "-") for heading in plain}


def main() -> int:
    """The exit code."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    found = [f"{page.relative_to(ROOT)} {problem}" for page in pages for problem in problems(page)]
    lines = len((ROOT / "README.md").read_text(encoding="utf-8").splitlines())
    if lines > README_LINES:
        found.append(f"README.md has {lines} lines; {README_LINES} is the limit")
    print(
        "\n".join(found) or f"{len(pages)} pages: links lead somewhere, snippets compile, the README has {lines} lines."
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
