"""People, geese and mules. A figure is 100 high in its own units, with its feet at the origin."""

from functools import partial
from random import Random

from cast import Character
from light import INK, Light

_SIZES = {"child": 1.4, "adult": 1.85, "elder": 1.75, "goose": 1.5, "mule": 1.8}
_HATS = {
    "Captain": '<path d="M-15 -88q15 -15 31 0l6 2" fill="#f6f3ea"/>',
    "Inspector": '<path d="M-19 -89h38m-31 0q0 -17 12 -17t12 17" fill="#4a4a55"/>',
}


def size(character: Character) -> float:
    """Return the scale of a character: it stands 100 times as high in the panel."""
    return _SIZES[character.age if character.kind == "person" else character.kind]


def figure(character: Character, x: float, y: float, light: Light, speaks: bool) -> str:
    """Draw a character with its feet at a point. A name has the same look in every panel."""
    scale = size(character)
    animals = {"goose": _goose(light), "mule": _mule(light)}
    drawn = animals.get(character.kind) or _person(character, light, speaks)
    turned = -scale if x > 320 else scale
    return (
        f'<g transform="translate({x:.0f} {y:.0f}) scale({turned} {scale})" stroke="{INK}" '
        f'stroke-width="1.2" stroke-linejoin="round" stroke-linecap="round">'
        f'<ellipse rx="24" ry="4" fill="{INK}" stroke="none" opacity="0.3"/>{drawn}</g>'
    )


def _line(path: str, colour: str, width: float) -> str:
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _fill(path: str, colour: str) -> str:
    return f'<path d="M{path}z" fill="{colour}"/>'


def _person(character: Character, light: Light, speaks: bool) -> str:
    rng = Random(character.name)
    # People keep more of their colours than the landscape: they are recognised at night.
    own = partial(light.on, share=0.4)
    skin = own(rng.choice(["#f2c9a5", "#d9a57e", "#b57a55", "#8a5a3c", "#f0d3b8"]))
    coat = own(rng.choice(["#c8443c", "#2c7d86", "#6e539e", "#b9781f", "#3c6cb2", "#4f7d4a"]))
    hair = rng.choice(["#3a2a22", "#7a4a26", "#b98a3e", "#22202a", "#a24b2a"])
    hair = own("#ece8e0" if character.age == "elder" else hair)
    is_she = character.pronoun == "she"
    drawn = _fill("-15 -84q-4 26 0 36h30q4 -10 0 -36", hair) if is_she else ""
    drawn += _line("-7 -32v31h-5M7 -32v31h5", own("#3a3f55"), 8)
    hem = 21 if is_she else 15
    drawn += _fill(f"-12 -64q12 -5 24 0l{hem - 12} 44h-{2 * hem}", coat)
    arms = f"12 -60{'q10 -2 17 -16' if speaks else 'q7 10 6 24'}M-12 -60q-7 10 -6 24"
    drawn += _line(arms, INK, 8) + _line(arms, coat, 6)
    drawn += f'<circle cy="-79" r="14" fill="{skin}"/>'
    drawn += _fill("-15 -78q-1 -18 15 -18t15 16q-9 -9 -17 -8t-13 10", hair)
    drawn += _line("1 -79v1M9 -79v1", INK, 3)
    mouth = "2 -72q4 2 8 0q-2 7 -8 0" if speaks else "2 -71q4 3 8 0q-4 3 -8 0"
    drawn += _fill(mouth, "#7a2f2f")
    if character.age == "elder" and not is_she:
        drawn += _fill("-2 -73q8 -5 15 0q-8 3 -15 0", hair)
    return drawn + _HATS.get(character.name.split()[0], "")


def _goose(light: Light) -> str:
    white, orange = light.on("#ffffff", 0.5), light.on("#e8932c", 0.5)
    body = "-38 -44q10 34 44 30q26 -4 20 -34q-4 -16 -2 -28q2 -10 -6 -14q-12 -4 -16 8q-2 10 2 24"
    drawn = _line("-4 -16v14h10M8 -16v14h10", orange, 4) + _fill(f"{body}q-20 -4 -42 14", white)
    drawn += _fill("22 -86l18 5l-17 5", orange) + _line("-24 -36q16 14 34 2", INK, 1.2)
    return drawn + _line("15 -83v0.1", INK, 3)


def _mule(light: Light) -> str:
    grey, white = light.on("#8f8378", 0.5), light.on("#ffffff", 0.5)
    body = "-40 -56q24 -8 44 0q6 -14 14 -24q2 -10 12 -8l22 22q-2 10 -12 8l-12 -6q-4 10 -6 26"
    drawn = _line("-32 -34v33M-20 -34v33M8 -34v33M18 -34v33", grey, 7)
    drawn += _fill(f"{body}q-30 8 -60 0q-6 -8 -2 -18", grey) + _line("-40 -56q-8 6 -6 22", INK, 3)
    # One of its ears is white.
    drawn += _fill("18 -80q-6 -18 2 -22q6 8 4 20", grey)
    return drawn + _fill("25 -84q0 -18 8 -20q4 10 -1 21", white) + _line("31 -77v0.1", INK, 3.4)
