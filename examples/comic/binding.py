"""Binds panels into a comic: one HTML page that needs nothing else."""

from html import escape
from itertools import groupby

from cast import Character
from story import Story

_STYLE = """
:root { color-scheme: light dark; --paper: #f6efe0; --ink: #241f33 }
@media (prefers-color-scheme: dark) { :root { --paper: #17141f; --ink: #f1e9da } }
body { margin: 2rem auto; max-width: 1320px; padding: 0 1rem; text-align: center;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 Georgia, serif }
.grid { display: flex; flex-wrap: wrap; gap: 12px; justify-content: center }
svg { width: min(420px, 100%) }
"""


def bind(story: Story, cast: list[Character], panels: list[tuple[str, str]]) -> str:
    """Return the comic; a panel is its chapter's title and its SVG document."""
    title, names = escape(story.title), escape(", ".join(c.name for c in cast))
    chapters = [
        f'<h2>{escape(heading)}</h2>\n<div class="grid">{"".join(svg for _, svg in group)}</div>\n'
        for heading, group in groupby(panels, key=lambda panel: panel[0])
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"<p>by {escape(story.author)}, with {names}</p>\n{''.join(chapters)}</body>\n</html>\n"
    )
