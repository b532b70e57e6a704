"""A business' own event types: their names and examples, and what is said of a payload."""

from __future__ import annotations

from typing import Any

import pytest

from ringback.catalog import BUILT_IN, check_own_name, nearest, own_type
from ringback.catalog.event_type import NO_PLACE, TOO_LARGE
from ringback.errors import Conflict, InvalidRequest

ORDER = {
    "type": "object",
    "required": ["OrderId"],
    "properties": {
        "OrderId": {"type": "string"},
        "Lines": {"type": "array", "items": {"required": ["Sku"], "properties": {"Count": {"minimum": 1}}}},
    },
}
PAYMENT = {
    "properties": {
        "Payments": {
            "items": {
                "oneOf": [
                    {"required": ["Card"], "properties": {"Card": {"type": "string"}}},
                    {"required": ["Iban"], "properties": {"Iban": {"type": "string"}}},
                ]
            }
        }
    }
}


@pytest.mark.parametrize("name", ["order.paid", "call.own", "call.completed.late", "a.1"])
def test_a_name_may_be_below_a_group_of_the_built_in_types(name: str) -> None:
    check_own_name(name)


def test_a_built_in_name_is_taken() -> None:
    with pytest.raises(Conflict, match=r"call\.completed is built in"):
        check_own_name("call.completed")


@pytest.mark.parametrize("name", ["order", "Order.Paid", "order.*", "*", "order paid", "", "a." * 60])
def test_a_name_that_could_not_be_subscribed_to_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_own_name(name)
    assert refused.value.errors[0].field == "EventType"


def test_without_a_schema_any_object_fits() -> None:
    made = own_type("order.paid", "Paid.")
    assert (made.schema, made.example, made.built_in, made.deprecated) == (
        {"type": "object"},
        {},
        False,
        False,
    )
    assert made.problems({"Anything": [1, None]}) is None
    assert made.problems([]) is not None


@pytest.mark.parametrize(
    ("schema", "example", "words"),
    [
        (ORDER, {}, "does not fit the schema: OrderId is missing"),
        (ORDER, None, "does not fit the schema: OrderId is missing"),
        ({"type": "array"}, None, "does not fit the schema: Data: "),
        (None, {"Note": "x" * 70_000}, "it may have 65,536"),
        (None, {"Number": 10**30}, "neither a finite double nor a 64-bit integer"),
        (None, {"Number": float("inf")}, "neither a finite double nor a 64-bit integer"),
    ],
    ids=["missing", "the default one", "not an object", "large", "beyond 64 bits", "infinite"],
)
def test_an_example_that_could_not_be_sent_is_refused(schema: Any, example: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        own_type("order.paid", "Paid.", schema, example)
    (fault,) = refused.value.errors
    assert fault.field == "Example"
    assert words in fault.message


def test_what_is_wrong_is_named_by_its_place_as_in_the_built_in_types() -> None:
    order = own_type("order.paid", "Paid.", ORDER, {"OrderId": "1"})
    assert order.problems({"OrderId": "1", "Lines": [{"Sku": "a", "Count": 2}]}) is None
    assert order.problems({"OrderId": "1", "Lines": [{"Count": 0}]}) == (
        "Lines[0].Sku is missing; Lines[0].Count: value is less than the minimum of 1"
    )
    many = {"OrderId": "1", "Lines": [{"Sku": "a"}] * 200 + [{}]}
    assert order.problems(many) == "Lines[200].Sku is missing; there may be more"


def test_among_alternatives_the_place_is_told_of_little_data_only() -> None:
    """Of much data it takes seconds: each branch's problems with each value are put together."""
    payment = own_type("payment.made", "Paid.", PAYMENT)
    few = payment.problems({"Payments": [{"Card": "a"}, {"Cash": 1}]})
    assert few is not None
    assert few.startswith("Payments[1]: ")
    assert payment.problems({"Payments": [{"Card": "a"}] * 500 + [{"Cash": 1}]}) == NO_PLACE
    assert payment.problems({"Payments": [{"Card": "a"}] * 500}) is None


def test_a_payload_that_would_take_long_is_not_checked_and_that_is_said() -> None:
    checked = own_type(
        "a.b", "x", {"additionalProperties": {"items": {"anyOf": [{"minimum": n} for n in range(99)]}}}
    )
    assert checked.problems({"Numbers": [7] * 1_000}) is None
    assert checked.problems({"Numbers": [7] * 100_000}) == TOO_LARGE


def test_the_nearest_of_hundreds_of_names_is_found() -> None:
    known = {**dict.fromkeys(f"warehouse.shelf_{n}.was_refilled" for n in range(500)), **BUILT_IN}
    assert nearest("call.complete", known) == "call.completed"
    assert nearest("warehouse.shelf_77.was_refilledd", known) == "warehouse.shelf_77.was_refilled"
