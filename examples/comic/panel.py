"""A panel: a backdrop, figures with their names, a caption, speech balloons."""

import textwrap
from html import escape
from random import Random

from backdrop import HEIGHT, WIDTH, backdrop
from brief import Brief
from cast import Character
from figure import figure, size
from light import INK, LIGHTS, PAPER

FEET, MOST_PEOPLE = 410, 4
LETTER, LINE = 8.3, 18  # The width of a letter and the height of a line, about.


def panel(brief: Brief, cast: list[Character], title: str) -> str:
    """Draw a scene as an SVG document; the same scene is drawn the same to the last digit."""
    rng = Random(f"{title}/{brief.scene}")
    drawn = backdrop(brief, rng)
    people = _on_stage(brief, cast)
    speakers = [speaker for speaker, _ in brief.lines]
    heads = {"": (0.0, 250.0)}  # A voice from outside comes from the panel's edge.
    for at, c in enumerate(people, 1):
        x = WIDTH * at / (len(people) + 1) + rng.randint(-14, 14)
        heads[c.name] = (x, FEET - 97 * size(c))
        drawn += figure(c, x, FEET, LIGHTS[brief.time], c.name in speakers)
        bold = f'stroke="{PAPER}" stroke-width="4" paint-order="stroke" font-weight="bold"'
        drawn += _text([c.name], x, FEET + 19, f'text-anchor="middle" {bold}')
    rows = textwrap.wrap(brief.caption, 70)
    wide, below = max(map(len, rows)) * LETTER + 20, len(rows) * LINE + 20
    drawn += f'<path d="M10 10h{wide:.0f}V{below}H10z" fill="#fbe9b0" stroke="{INK}"/>'
    drawn += _text(rows, 20, 28, 'font-style="italic"')
    for at, (speaker, text) in enumerate(brief.lines):
        space = (0, WIDTH) if len(brief.lines) == 1 else (at * WIDTH // 2, (at + 1) * WIDTH // 2)
        drawn += _balloon(text, heads[speaker], below + 10 + 14 * at, *space)
    label = escape(" ".join([brief.caption, *(text for _, text in brief.lines)]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f"font-family=\"'Comic Neue', 'Comic Sans MS', sans-serif\" font-size=\"15\">"
        f'<title>{label}</title>{drawn}<path d="M1 1h{WIDTH - 2}v{HEIGHT - 2}h-{WIDTH - 2}z" '
        f'fill="none" stroke="{INK}" stroke-width="3"/></svg>\n'
    )


def _on_stage(brief: Brief, cast: list[Character]) -> list[Character]:
    """Return who is drawn, from left to right: the first speaker, others, the second speaker."""
    names = [speaker for speaker, _ in brief.lines if speaker]
    others = [name for name in brief.people if name not in names]
    row = names[:1] + others[: MOST_PEOPLE - len(names)] + names[1:]
    known = {c.name: c for c in cast}
    return [known[name] for name in row]


def _text(rows: list[str], x: float, y: float, more: str) -> str:
    spans = (
        f'<tspan x="{x:.0f}" y="{y + LINE * at:.0f}">{escape(row)}</tspan>'
        for at, row in enumerate(rows)
    )
    return f'<text fill="{INK}" {more}>{"".join(spans)}</text>'


def _balloon(text: str, mouth: tuple[float, float], top: int, left: int, right: int) -> str:
    """Draw a balloon between two edges, its tail towards a mouth."""
    rows = textwrap.wrap(text, 32)
    wide, bottom = max(map(len, rows)) * LETTER + 32, top + len(rows) * LINE + 22
    x = max(left + 8, min(mouth[0] - wide / 2, right - 8 - wide))
    base = max(x + 30, min(mouth[0], x + wide - 30))
    tip = f"{mouth[0] + (base - mouth[0]) * 0.2:.0f} {max(mouth[1] - 4, bottom + 12):.0f}"
    tail = f"M{base - 11:.0f} {bottom - 2}L{tip}L{base + 11:.0f} {bottom - 2}"
    # A shout has a thicker line.
    style = f'fill="{PAPER}" stroke="{INK}" stroke-width="{3 if "!" in text else 1.6}"'
    return (
        f'<rect x="{x:.0f}" y="{top}" width="{wide:.0f}" height="{bottom - top}" rx="22" {style}/>'
        f'<path d="{tail}" {style}/>' + _text(rows, x + wide / 2, top + 25, 'text-anchor="middle"')
    )
