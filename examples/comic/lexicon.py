"""Word lists: what a scene's words say about place, time, weather, and about people."""

SPEECH_VERBS = frozenset("said says asked called told shouted admitted answered cried".split())
PLACE_WORDS = frozenset("the in at on to from of into over a down across".split())
CALENDAR = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May "
    "June July August September October November December".split()
)
ANIMALS = ("goose", "mule")
CHILD = frozenset("girl boy child school twelve seven nineteen".split())
ELDER = frozenset("old grandfather thirty moustache".split())
CLEARED = frozenset("gone stopped cleared shut".split())  # Such a weather is over.

PLACES = {
    "sea": "sea ferry boat rocks waves",
    "harbour": "harbour quay breakwater lighthouse cliff",
    "room": "workshop clock copper stove bakery oven flour counter office desk drip hut shelf post",
    "street": "street fire slippers crowd village houses wall children",
    "roofs": "roof rooftop rooftops chimneys chimney",
    "forest": "forest pines owls",
    "mountain": "mountain pass bridge path",
}
TIMES = {
    "day": "morning noon afternoon sun daylight",
    "dawn": "dawn sunrise",
    "dusk": "dusk sunset evening",
    "night": "night midnight stars moon",
}
WEATHERS = {"rain": "rain rained raining", "snow": "snow storm", "fog": "fog smoke mist"}


def best(table: dict[str, str], weighted: list[tuple[str, float]], least: float) -> str | None:
    """Return the entry whose words weigh most, the first of equals; None below `least`."""
    scores = {
        key: sum(weight for word, weight in weighted if word.lower() in known.split())
        for key, known in table.items()
    }
    winner = max(scores, key=lambda key: scores[key])
    return winner if scores[winner] >= least else None
