"""Colours, and what the time of day makes of them."""

from typing import NamedTuple

INK = "#241f33"
PAPER = "#fffdf6"


class Light(NamedTuple):
    """The sky's upper and lower colour, and a tint that lies on everything."""

    sky: str
    horizon: str
    tint: str
    strength: float

    def on(self, colour: str, share: float = 1.0) -> str:
        """Return a colour in this light; `share` is how much of the tint it takes."""
        part = self.strength * share
        pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(self.tint[1:]), strict=True)
        return "#" + bytes(round(a + (b - a) * part) for a, b in pairs).hex()


LIGHTS = {
    "dawn": Light("#f3a68c", "#fde8c9", "#f0a58a", 0.18),
    "day": Light("#7fc4e6", "#e6f5fa", "#ffffff", 0.0),
    "dusk": Light("#5d4f94", "#f2a37c", "#46386b", 0.32),
    "night": Light("#10173a", "#33427a", "#10183a", 0.55),
}
