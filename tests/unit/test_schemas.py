"""Which schemas a business may register, and that what one may cost is never reckoned too low."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback.catalog import BUILT_IN
from ringback.errors import InvalidRequest
from ringback.schemas import DIALECT, Cost, cost_of
from ringback.schemas.cost import MAX_STEPS_A_VALUE
from ringback.schemas.shape import MAX_BYTES, MAX_DEPTH

Schema = dict[str, Any]


def refusal(schema: Schema) -> str:
    with pytest.raises(InvalidRequest) as refused:
        cost_of(schema)
    (fault,) = refused.value.errors
    assert fault.field == "Schema"
    return fault.message


def field(schema: Any) -> Schema:
    return {"properties": {"a": schema}}


def nested(levels: int) -> Schema:
    schema: Schema = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def fan(levels: int) -> Schema:
    """2 to the power of `levels` checks of one value, in a few hundred bytes."""
    doubled = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return field({"$ref": "#/$defs/d0"}) | {"$defs": {**doubled, f"d{levels}": {"type": "integer"}}}


def chain(links: int) -> Schema:
    defs: Schema = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(links)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{links}": {}}}


REFUSED: list[tuple[str, Schema, str]] = [
    ("a type that is none", field({"type": "strin"}), "at /properties/a/type: "),
    ("no object of properties", {"properties": 3}, "at /properties: "),
    ("another dialect", {"$schema": "http://json-schema.org/draft-07/schema#"}, "at /$schema: must be "),
    ("a dialect that is no text", {"$schema": 3}, "at /$schema: must be "),
    (
        "a dialect further in",
        field({"$schema": DIALECT}),
        "at /properties/a/$schema: may stand at the top only",
    ),
    ("an id further in", field({"$id": "x"}), "at /properties/a/$id: may stand at the top only"),
    ("itself", field({"$ref": "#"}), "at /properties/a: is recursive"),
    (
        "each other",
        {"$defs": {"x": {"$ref": "#/$defs/y"}, "y": field({"$ref": "#/$defs/x"})}},
        "is recursive",
    ),
    ("itself, dynamically", field({"$dynamicRef": "#x"}), "at /properties/a/$dynamicRef: is not available"),
    ("a web address", {"$ref": "http://127.0.0.1:9/x.json"}, "at /$ref: must point to a subschema of this"),
    ("a file", {"$ref": "file:///etc/hostname"}, "at /$ref: must point to a subschema of this"),
    ("the meta-schema", {"$ref": DIALECT}, "at /$ref: must point to a subschema of this"),
    ("a place that is none", {"$ref": "#/$defs/x"}, "at /$ref: must point to a subschema of this"),
    ("what is no subschema", {"const": {}, "$ref": "#/const"}, "at /$ref: must point to a subschema of this"),
    ("doubling references", fan(12), "is too much work"),
    ("a long chain", chain(500), "its $refs followed"),
    (
        "a long chain, last first",
        {"$defs": dict(reversed(chain(500)["$defs"].items()))},
        "its $refs followed",
    ),
    ("a deep one", nested(MAX_DEPTH), f"is nested more than {MAX_DEPTH} levels deep"),
    (
        "hundreds of alternatives",
        field({"items": {"anyOf": [{"minLength": n} for n in range(300)]}}),
        "at /properties/a/items: is too much work",
    ),
    ("a huge enum", field({"enum": [*range(500), "x"]}), "at /properties/a: is too much work"),
    ("a large const", field({"const": [[n] for n in range(500)]}), "at /properties/a: is too much work"),
    ("many dependencies", {"dependentRequired": {f"p{n}": ["x"] for n in range(600)}}, "is too much work"),
    (
        "dependencies on many",
        {"dependentRequired": {f"p{n}": [f"p{m}" for m in range(100)] for n in range(100)}},
        "is too much work",
    ),
    ("look-around", field({"pattern": "(?=a)b"}), "at /properties/a/pattern: is no pattern that can be used"),
    ("a back-reference", field({"pattern": r"(a)\1"}), "is no pattern that can be used"),
    ("a giant pattern", field({"pattern": r"(\w{50}){50}"}), "is no pattern that can be used"),
    ("a long pattern", field({"pattern": "a" * 2_000}), "is no pattern that can be used"),
    (
        "a giant pattern of keys",
        {"patternProperties": {"^[ab]/(\\w{50}){50}": {}}},
        "at /patternProperties/^[ab]~1(\\w{50}){50}: is no pattern",
    ),
    (
        "many patterns",
        {"properties": {f"p{n}": {"pattern": f"^{n}$"} for n in range(60)}},
        "is one pattern too many",
    ),
    (
        "large patterns on one text",
        field({"allOf": [{"pattern": f"[ab]*a[ab]{{100}}{n}"} for n in range(4)]}),
        "has too many or too large patterns for one text",
    ),
    (
        "uniqueness without end",
        field({"uniqueItems": True}),
        "at /properties/a/uniqueItems: needs a maxItems",
    ),
    (
        "uniqueness of many",
        field({"uniqueItems": True, "maxItems": 1_000}),
        "needs a maxItems of at most 100",
    ),
    ("a tiny divisor", field({"multipleOf": 1e-300}), "at /properties/a/multipleOf: must be at least"),
    ("unevaluated properties", {"unevaluatedProperties": False}, "use additionalProperties"),
    ("old dependencies", {"dependencies": {}}, "use dependentRequired or dependentSchemas"),
    ("a large number", {"maximum": 10**30}, "neither a finite double nor a 64-bit integer"),
    ("infinity", {"maximum": float("inf")}, "neither a finite double nor a 64-bit integer"),
    ("many fields", {"properties": {f"p{n}": {} for n in range(1_500)}}, "has more than 1,500 subschemas"),
    ("many bytes", {"description": "x" * MAX_BYTES}, "it may have 65,536"),
]


@pytest.mark.parametrize(
    ("schema", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_cannot_be_used_is_refused_with_its_place_and_reason(schema: Schema, words: str) -> None:
    message = refusal(schema)
    assert words in message
    assert len(message) <= 500


USED: dict[str, Schema] = {
    **{name: event_type.schema for name, event_type in BUILT_IN.items()},
    "a dialect with an empty fragment": {"$schema": DIALECT + "#"},
    "an id at the top": {"$id": "https://acme.com/order.json", "$ref": "#/$defs/x", "$defs": {"x": {}}},
    "references within": {"$defs": {"a/b": {"type": "string"}}, **field({"$ref": "#/$defs/a~1b"})},
    "a thousand fields": {"properties": {f"p{n}": {"type": ["string", "null"]} for n in range(1_000)}},
    "usual patterns": {
        "properties": {
            "Id": {"pattern": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
            "Mail": {"pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"},
            "Name": {"pattern": r"^[A-Za-z0-9_-]{1,64}$"},
        }
    },
    "a union of five": {
        "oneOf": [
            {"required": ["Kind"], "properties": {"Kind": {"const": kind}, "Sum": {"multipleOf": 0.01}}}
            for kind in "abcde"
        ]
    },
    "countries": field({"enum": [f"{first}{second}" for first in "ABCDEFGHIJ" for second in "KLMNOPQRST"]}),
    "a few tags": field({"uniqueItems": True, "maxItems": 20, "items": {"type": "string"}}),
}


@pytest.mark.parametrize("schema", USED.values(), ids=USED)
def test_what_people_write_is_used(schema: Schema) -> None:
    assert 0 < cost_of(schema).per_value <= MAX_STEPS_A_VALUE


# ---------------------------------------------------------------- what it costs

ORDINARY = {"Id": "order_1", "Lines": [{"Sku": f"sku-{n}", "Count": n, "Price": 9.95} for n in range(100)]}
CHEAP = Cost(per_value=20, per_character=1, alternatives=False)
DEAR = Cost(per_value=MAX_STEPS_A_VALUE, per_character=60, alternatives=True)


@pytest.mark.parametrize("cost", [CHEAP, DEAR])
def test_an_ordinary_payload_is_checked_whatever_the_schema(cost: Cost) -> None:
    assert cost.affords(ORDINARY)


@pytest.mark.parametrize(
    "data",
    [
        {"a": [0] * 130_000},
        {"a": [{}] * 85_000},
        {f"k{n}": 0 for n in range(25_000)},
        {"a": "x" * 260_000},
        {"x" * 260_000: 0},
        {"a": [10**2_500] * 100},
        {"a": [1e300] * 40_000},
    ],
    ids=["numbers", "objects", "keys", "text", "a key", "integers of thousands of digits", "huge numbers"],
)
def test_a_payload_full_of_values_is_not_checked_against_a_dear_schema(data: Any) -> None:
    assert not DEAR.affords(data)


def test_characters_cost_only_where_there_is_a_pattern() -> None:
    text = {"Transcript": "x" * 260_000}
    assert cost_of({"properties": {"Transcript": {"type": "string"}}}).affords(text)
    assert not cost_of(field({"pattern": r"^[ab]*a[ab]{60}[abc]*d"})).affords(text)


# Schemas without references, of the keywords that apply others.
leaves: st.SearchStrategy[Any] = st.sampled_from(
    [True, {}, {"type": "integer"}, {"minimum": 3, "maximum": 9}]
)


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, min_size=1, max_size=3)
    maps = st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3)
    single = st.sampled_from(
        ["not", "if", "then", "else", "additionalProperties", "items", "contains", "propertyNames"]
    )
    return st.one_of(
        st.dictionaries(single, inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(["allOf", "anyOf", "oneOf", "prefixItems"]), lists, min_size=1),
        st.dictionaries(st.sampled_from(["properties", "dependentSchemas"]), maps, min_size=1),
        st.tuples(maps, inner, lists).map(
            lambda parts: {"properties": parts[0], "additionalProperties": parts[1], "allOf": parts[2]}
        ),
    )


schemas = st.recursive(leaves, _branches, max_leaves=25).filter(lambda one: isinstance(one, dict))
payloads = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)


def visits(schema: Any, data: Any, place: str, seen: Counter[str]) -> None:
    """Counts how many subschemas concern each value, each branch gone into, as a plain reading has it."""
    seen[place] += 1
    if not isinstance(schema, dict):
        return
    for keyword in ("allOf", "anyOf", "oneOf"):
        for one in schema.get(keyword, ()):
            visits(one, data, place, seen)
    for keyword in ("not", "if", "then", "else"):
        if keyword in schema:
            visits(schema[keyword], data, place, seen)
    for one in schema.get("dependentSchemas", {}).values():
        visits(one, data, place, seen)
    if isinstance(data, dict):
        _visit_members(schema, data, place, seen)
    if isinstance(data, list):
        _visit_items(schema, data, place, seen)


def _visit_members(schema: Schema, data: dict[str, Any], place: str, seen: Counter[str]) -> None:
    fields = schema.get("properties", {})
    for name, value in data.items():
        inside = f"{place}/{name}"
        if name in fields:
            visits(fields[name], value, inside, seen)
        elif "additionalProperties" in schema:
            visits(schema["additionalProperties"], value, inside, seen)
        if "propertyNames" in schema:
            visits(schema["propertyNames"], name, inside, seen)


def _visit_items(schema: Schema, data: list[Any], place: str, seen: Counter[str]) -> None:
    firsts = schema.get("prefixItems", [])
    for index, value in enumerate(data):
        inside = f"{place}/{index}"
        if index < len(firsts):
            visits(firsts[index], value, inside, seen)
        elif "items" in schema:
            visits(schema["items"], value, inside, seen)
        if "contains" in schema:
            visits(schema["contains"], value, inside, seen)


@given(schemas, payloads)
@example({"allOf": [{"items": {"allOf": [{}] * 10}}] * 10}, [1])
@example({"allOf": [{"properties": {"a": {"allOf": [{}] * 10}}}] * 10}, {"a": 1})
def test_no_value_is_looked_at_more_often_than_was_reckoned(schema: Schema, data: Any) -> None:
    seen: Counter[str] = Counter()
    visits(schema, data, "", seen)
    assert max(seen.values()) <= cost_of(schema).per_value


@given(schemas, payloads)
def test_a_reference_costs_what_it_refers_to(schema: Schema, data: Any) -> None:
    referring = {"$defs": {"it": schema}, "allOf": [{"$ref": "#/$defs/it"}, {"$ref": "#/$defs/it"}]}
    seen: Counter[str] = Counter()
    visits({"allOf": [schema, schema]}, data, "", seen)
    try:
        reckoned = cost_of(referring).per_value
    except InvalidRequest:
        return
    assert max(seen.values()) <= reckoned
