"""Where a scene plays: sky, ground, and what stands between them."""

from functools import partial
from random import Random

from brief import Brief
from light import INK, LIGHTS, Light

WIDTH, HEIGHT = 640, 440


def backdrop(brief: Brief, rng: Random) -> str:
    """Draw the backdrop of a scene; the same generator draws the same one."""
    light = LIGHTS[brief.time]
    if brief.place == "room":
        return _room(light, rng)
    places = {"sea": _sea, "harbour": _sea, "forest": _forest, "mountain": _mountain}
    drawn = places.get(brief.place, _street)(brief.place, light, rng)
    return _sky(brief, light, rng) + drawn + _weather(brief.weather, rng)


def _box(x: float, y: float, width: float, height: float, fill: str, line: str = INK) -> str:
    return _shape(f"{x:.0f} {y:.0f}h{width:.0f}v{height:.0f}h-{width:.0f}", fill, line)


def _shape(points: str, fill: str, line: str = INK) -> str:
    return f'<path d="M{points}z" fill="{fill}" stroke="{line}"/>'


def _oval(x: float, y: float, rx: float, ry: float, fill: str, opacity: float = 1.0) -> str:
    size = f'cx="{x:.0f}" cy="{y:.0f}" rx="{rx:.1f}" ry="{ry:.1f}"'
    return f'<ellipse {size} fill="{fill}" opacity="{opacity}"/>'


def _sky(brief: Brief, light: Light, rng: Random) -> str:
    sky = (  # Its id is unique in the comic, which holds all panels.
        f'<linearGradient id="sky-{brief.scene}" x2="0" y2="1"><stop stop-color="{light.sky}"/>'
        f'<stop offset="0.8" stop-color="{light.horizon}"/></linearGradient>'
    ) + _box(0, 0, WIDTH, HEIGHT, f"url(#sky-{brief.scene})")
    if brief.time == "night":
        for _ in range(60):
            sky += _oval(rng.randint(0, WIDTH), rng.randint(0, 300), 1.2, 1.2, "#fff6d8")
        return sky + _oval(rng.randint(70, 570), 150, 24, 24, "#fff3c4")
    sky += _oval(rng.randint(70, 570), 170 if brief.time == "day" else 285, 34, 34, "#fff0b0", 0.85)
    for _ in range(3):
        x, y = rng.randint(0, WIDTH), rng.randint(110, 250)
        for shift in (-26, 0, 28):
            sky += _oval(x + shift, y + abs(shift) / 4, 32, 13, "#ffffff", 0.7)
    return sky


def _weather(weather: str | None, rng: Random) -> str:
    if weather == "fog":
        banks = [(rng.randint(100, 540), y, rng.randint(300, 460)) for y in range(180, 400, 36)]
        return "".join(_oval(x, y, wide, 30, "#e8ecef", 0.28) for x, y, wide in banks)
    drops = [(rng.randint(0, WIDTH), rng.randint(0, HEIGHT)) for _ in range(110 if weather else 0)]
    wide, high = (2.2, 2.2) if weather == "snow" else (0.8, 9)
    return "".join(_oval(x, y, wide, high, "#ffffff", 0.8) for x, y in drops)


def _sea(place: str, light: Light, rng: Random) -> str:
    drawn = _box(0, 260, WIDTH, 180, light.on("#2f7f95"))
    for _ in range(26):
        drawn += _oval(rng.randint(0, WIDTH), rng.randint(268, HEIGHT), 16, 1.5, "#ffffff", 0.4)
    for left in (20, 230, 440) if place == "harbour" else (rng.randint(40, 200),):
        x = left + rng.randint(0, 80)
        drawn += _shape(f"{x} 286h96l-16 26h-64", light.on("#a6493f"))
        drawn += _shape(f"{x + 44} 286v-72l46 58h-42v14", light.on("#f3ead6"))
    return drawn + _box(-2, 362, WIDTH + 4, 90, light.on("#8d8a86"))


def _street(place: str, light: Light, rng: Random) -> str:
    foot, most = (350, 180) if place == "street" else (390, 130)
    drawn, x = "", rng.randint(-40, 0)
    while x < WIDTH:
        width, height = rng.randint(70, 120), rng.randint(most // 2, most)
        wall = light.on(rng.choice(["#d9a679", "#c98f86", "#b9b08a", "#8fa3a6", "#e0c592"]))
        drawn += _box(x, foot - height, width, height, wall)
        half = width // 2 + 6
        drawn += _shape(f"{x - 6} {foot - height}l{half} -34l{half} 34", light.on("#8a4b3c"))
        for window in range(x + 14, x + width - 18, 30):
            is_lit = light.strength > 0.3 and rng.random() < 0.6
            glass = "#ffdf80" if is_lit else light.on("#5d7382")
            drawn += _box(window, foot - height + 18, 15, 20, glass)
        x += width + rng.randint(0, 10)
    if place == "street":
        return drawn + _box(-2, foot, WIDTH + 4, 100, light.on("#9b9285"))
    for x in rng.sample(range(40, 600, 70), 3):
        drawn += _oval(x + 20, 270, 11, 24, "#ffffff", 0.5)
        drawn += _box(x, 290, 34, 100, light.on("#a35b48"))
    return drawn + _shape("-5 452v-70l330 -22l330 22v70", light.on("#7b4a40"))


def _forest(place: str, light: Light, rng: Random) -> str:
    drawn = _box(0, 345, WIDTH, 100, light.on("#5c6b3c"))
    for foot in (322, 356):
        for x in range(rng.randint(-60, -20), WIDTH, 58):
            high, green = rng.randint(110, 190), rng.choice(["#2f5b43", "#3c6b48", "#284c3d"])
            drawn += _box(x + 26, foot, 8, 20, light.on("#5b4030"))
            drawn += _shape(f"{x} {foot + 4}l30 -{high}l30 {high}", light.on(green))
    return drawn


def _mountain(place: str, light: Light, rng: Random) -> str:
    drawn = ""
    for x in (-120, 130, 360):
        high, wide = rng.randint(150, 230), rng.randint(170, 220)
        rock = light.on(rng.choice(["#7d8794", "#8b8f9c", "#6c7887"]))
        drawn += _shape(f"{x} 362l{wide} -{high}l{wide} {high}", rock)
        side = f"l{wide * 0.28:.0f} {high * 0.28:.0f}l-22 -9l-18 15l-16 -14l-24 10"
        drawn += _shape(f"{x + wide} {362 - high}{side}", light.on("#f4f8fb"), "none")
    return drawn + _shape("0 442v-82q170 -22 330 -4t312 -10v96", light.on("#a3977f"))


def _room(light: Light, rng: Random) -> str:
    lit = partial(light.on, share=0.6)  # Lamps are lit indoors.
    drawn = _box(0, 0, WIDTH, HEIGHT, lit(rng.choice(["#d9c7a0", "#c7cfae", "#d8b39a", "#b9c4cf"])))
    window = rng.randint(40, 480)
    shelf = (window + 300) % 470 + 30
    if light.strength > 0.3:
        drawn += _oval(shelf + 60, 150, 90, 90, "#ffd980", 0.25)
    drawn += _box(window, 176, 92, 96, light.horizon) + _box(window + 44, 176, 3, 96, INK)
    drawn += _box(shelf, 256, 120, 7, lit("#6b4a30"))
    for x in range(shelf + 6, shelf + 104, 13):
        high, spine = rng.randint(24, 38), rng.choice(["#a6493f", "#2c7d86", "#b9781f", "#6e539e"])
        drawn += _box(x, 256 - high, 11, high, lit(spine))
    return drawn + _box(-2, 346, WIDTH + 4, 100, lit("#8a6742"))
