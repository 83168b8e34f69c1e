"""The events that every implementation reads the same way: tests/vectors of the repository.

This package makes events of arguments. What it checks or cleans must agree with the vectors; what
it does not judge is listed in NOT_JUDGED and left to Bindery.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bindery_client import stage, values

ROOT = Path(__file__).parents[3]
TEXTS = {
    "message": values.MESSAGE,
    "title": values.TITLE,
    "unit": values.UNIT,
    "worker": values.WORKER,
}
JSON = ("checkpoint", "metadata")
NUMBERS = ("progress", "done", "total")


def written_out(value: Any) -> Any:
    """Write out `$repeat`, `$nest` and `$concat`."""
    if isinstance(value, list):
        return [written_out(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$concat" in value:
        return "".join(written_out(text) for text in value["$concat"])
    if "$repeat" in value:
        return value["$repeat"] * value["times"]
    if "$nest" in value:
        nested: Any = 1
        for _ in range(value["$nest"]):
            nested = [nested]
        return nested
    return {key: written_out(item) for key, item in value.items()}


def vectors(*files: str) -> list[Any]:
    """Return the vectors that are JSON events, each as a parameter with its name."""
    return [
        pytest.param(written_out(vector), id=vector["name"])
        for file in files
        for vector in json.loads((ROOT / f"tests/vectors/{file}.json").read_text())
        if "event" in vector
    ]


@pytest.mark.parametrize("vector", vectors("valid", "cleaned"))
def test_the_package_reads_a_value_as_bindery_does(vector: dict[str, Any]) -> None:
    event, means = vector["event"], vector["means"]
    for field in TEXTS.keys() & event.keys() - _ignored(event):
        if event[field] is not None:
            assert values.text(event[field], TEXTS[field]) == means.get(field, ""), field
    if str(event.get("substep") or "").strip():
        assert values.name(event["substep"]) == means["substep"]
    for field in JSON:
        if not isinstance(event.get(field), str | None):
            assert json.loads(values.encoded(event[field])) == means[field], field
    if isinstance(event.get("substeps"), list):
        weights = {entry.get("substep"): entry.get("weight") for entry in event["substeps"]}
        is_sent = all(isinstance(weight, float | int | None) for weight in weights.values())
        if is_sent and None not in weights:
            parts = [json.loads(part) for part in stage.planned(weights)]
            assert [entry for part in parts for entry in part] == means["substeps"]
    numbers = {field: event[field] for field in NUMBERS if field in event}
    if means["type"] == "progress" and all(isinstance(n, float | int) for n in numbers.values()):
        changes = stage._changes(*(numbers.get(field) for field in NUMBERS))
        for field in NUMBERS:
            # Whatever is within 1e-9 of an end counts as the end.
            if changes.get(field) is not None:
                assert changes[field] == pytest.approx(means[field], rel=1e-9, abs=1e-9), field


def _ignored(event: dict[str, Any]) -> set[str]:
    schema = json.loads((ROOT / "docs/schema/event.schema.json").read_text())
    fields: dict[str, Any] = schema["$defs"][event["type"].strip()]["properties"]
    return TEXTS.keys() - fields.keys()


def _planned(substeps: list[dict[str, Any]]) -> None:
    # A list with more entries than names stands for one with as many names.
    weights = {entry["substep"]: entry.get("weight") for entry in substeps}
    if len(substeps) > 2:
        weights = dict.fromkeys(f"s{n}" for n in range(len(substeps)))
    stage.planned(weights)


# By field and reason: what the package refuses, by the function that refuses it.
JUDGED: dict[tuple[str, str], Callable[[Any], object]] = {
    ("substep", "bad_name"): values.name,
    ("substep", "too_long"): values.name,
    ("checkpoint", "too_large"): values.encoded,
    ("checkpoint", "too_deep"): values.encoded,
    ("metadata", "too_large"): values.encoded,
    ("substeps.substep", "bad_name"): _planned,
    ("substeps.weight", "out_of_range"): _planned,
    ("substeps", "too_many_substeps"): _planned,
}
# What the package never sends, because its arguments have no such form or it takes the nearest
# value: numbers that are out of range become the nearest end, a plan is sent in parts, a mapping
# names each substep once.
NEVER_SENT = {
    ("type", "missing_field"),
    ("type", "unknown_type"),
    ("type", "wrong_type"),
    ("book_id", "missing_field"),
    ("book_id", "bad_uuid"),
    ("to_status", "conflicting_fields"),
    ("progress", "missing_field"),
    ("progress", "conflicting_fields"),
    ("progress", "out_of_range"),
    ("progress", "bad_number"),
    ("done", "missing_field"),
    ("done", "out_of_range"),
    ("total", "missing_field"),
    ("total", "out_of_range"),
    ("attempt", "out_of_range"),
    ("attempt", "bad_number"),
    ("resume", "wrong_type"),
    ("checkpoint", "bad_json"),
    ("metadata", "bad_json"),
    ("the", "too_large"),
    ("substep", "conflicting_fields"),
    ("substeps", "missing_field"),
    ("substeps", "wrong_type"),
    ("substeps", "too_large"),
    ("substeps.substep", "missing_field"),
    ("substeps.substep", "conflicting_fields"),
    ("substeps.weight", "bad_number"),
    ("stage", "missing_field"),
    ("stage", "too_long"),
    ("pipeline", "too_long"),
}
# What the package sends as it was given: types that its annotations exclude, names that only a
# pipeline decides on.
NOT_JUDGED = {
    ("to_status", "missing_field"),
    ("owner_id", "bad_uuid"),
    ("substep", "wrong_type"),
    ("stage", "wrong_type"),
    ("metadata", "wrong_type"),
}


def _reason(vector: dict[str, Any]) -> tuple[str, str]:
    field = vector["rejected"]["message"].split()[0]
    place, _, key = field.partition("]")
    return place.partition("[")[0] + key, vector["rejected"]["code"]


@pytest.mark.parametrize("vector", vectors("rejected"))
def test_the_package_refuses_what_bindery_rejects(vector: dict[str, Any]) -> None:
    judge = JUDGED.get(_reason(vector))
    if judge is None:
        assert _reason(vector) in NEVER_SENT | NOT_JUDGED
        return
    field = _reason(vector)[0].partition(".")[0]
    with pytest.raises(values.Invalid) as refused:
        judge(vector["event"][field])
    assert refused.value.code == vector["rejected"]["code"]


def test_every_reason_is_classified_once() -> None:
    reasons = {_reason(parameter.values[0]) for parameter in vectors("rejected")}
    assert reasons == JUDGED.keys() | NEVER_SENT | NOT_JUDGED
    assert not NEVER_SENT & NOT_JUDGED
    assert not JUDGED.keys() & (NEVER_SENT | NOT_JUDGED)


def test_the_limits_are_binderys() -> None:
    limits = json.loads((ROOT / "tests/vectors/limits.json").read_text())
    ours = {
        "message_chars": values.MESSAGE,
        "title_chars": values.TITLE,
        "worker_chars": values.WORKER,
        "name_chars": values.NAME,
        "json_bytes": values.JSON_BYTES,
        "json_depth": values.JSON_LEVELS,
        "total": values.TOTAL,
        "substeps": values.SUBSTEPS,
        "min_weight": values.MIN_WEIGHT,
        "max_weight": values.MAX_WEIGHT,
    }
    assert ours == {key: limits[key] for key in ours}
    assert limits["name_chars"] == values.UNIT
    # Not the package's: an entry is small by the other limits; it sends no `at`.
    assert limits.keys() - ours.keys() == {"entry_bytes", "at_chars", "attempt"}


@pytest.mark.parametrize("vector", vectors("valid", "cleaned", "rejected"))
def test_the_schema_takes_what_its_vector_states(vector: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "docs/schema/event.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    assert validator.is_valid(vector["event"]) == vector["schema"]


def test_the_schema_is_one() -> None:
    schema = json.loads((ROOT / "docs/schema/event.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
