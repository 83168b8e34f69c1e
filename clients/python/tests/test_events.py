"""The typed dictionaries of events are those of docs/schema/event.schema.json."""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from bindery_client import events

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs/schema/event.schema.json").read_text("utf-8")
)["$defs"]
EVENTS = {get_args(get_type_hints(event)["type"])[0]: event for event in get_args(events.Event)}
JSON_TYPES = {str: "string", float: "number", int: "integer", bool: "boolean", dict: "object"}


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    # An alias, which a writer does not use, is the schema `false`.
    return {name: value for name, value in schema["properties"].items() if value is not False}


def check_type(hint: Any, schema: dict[str, Any]) -> None:
    origin = get_origin(hint) or hint
    if origin is Literal:
        assert get_args(hint) == (schema["const"],)
    elif origin is list:
        assert schema["type"] == "array"
        check_members(get_args(hint)[0], schema["items"])
    elif hint is Any:
        # Any JSON but a text, which would be read as JSON.
        assert "string" not in schema["type"]
        assert "object" in schema["type"]
    else:
        assert JSON_TYPES[origin] == schema["type"]


def check_members(typed: Any, schema: dict[str, Any]) -> None:
    hints = get_type_hints(typed)
    assert hints.keys() == properties(schema).keys()
    assert typed.__required_keys__ == set(schema["required"])
    for name, hint in hints.items():
        check_type(hint, schema["properties"][name])


def test_there_is_a_type_for_each_event() -> None:
    assert EVENTS.keys() == SCHEMA.keys()


@pytest.mark.parametrize("name", EVENTS)
def test_a_typed_dictionary_has_the_fields_of_its_event(name: str) -> None:
    schema = SCHEMA[name]
    required = schema.get("required", [])
    check_members(EVENTS[name], {**schema, "required": required})
