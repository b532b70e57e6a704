"""The built-in event types are what the contract's table says; what does not fit is told, never raised."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from ringback.catalog import BUILT_IN, EventType, is_valid_name, nearest

# The contract's table: `?` may be absent or null, everything else must be there.
TABLE = {
    "call.initiated": "QueueId CampaignId? AgentId NumberId From To ScheduledTime? DynamicVariables Metadata",
    "call.started": "QueueId SessionId AgentId From To Direction StartedAt",
    "call.completed": (
        "QueueId SessionId CampaignId? AgentId From To Direction StartedAt EndedAt DurationSeconds EndType"
        " Metadata"
    ),
    "call.failed": "QueueId CampaignId? AgentId From To FailedAt Reason Message",
    "conversation.started": "SessionId QueueId? AgentId StartTime Clients",
    "conversation.message": "SessionId MessageId TurnIndex Role Content Language? SentAt",
    "conversation.ended": (
        "SessionId QueueId? AgentId StartTime EndTime DurationSeconds EndType MessageCount Clients Summary?"
    ),
    "agent.joined": "SessionId AgentId AgentType JoinedAt",
    "agent.left": "SessionId AgentId AgentType LeftAt Reason",
}
CASES = [(name, field) for name, fields in TABLE.items() for field in fields.split()]
REQUIRED = [(name, field) for name, field in CASES if not field.endswith("?")]
OPTIONAL = [(name, field[:-1]) for name, field in CASES if field.endswith("?")]

BROKEN = [
    ("call.started", "Direction", "sideways"),
    ("call.started", "QueueId", "session_1"),
    ("call.started", "From", "020 7946 0958"),
    ("call.started", "StartedAt", "yesterday"),
    ("call.completed", "DurationSeconds", -1),
    ("call.completed", "DurationSeconds", "87"),
    ("call.completed", "EndType", "NoAnswer"),
    ("call.failed", "Reason", "UserEndedCall"),
    ("conversation.started", "Clients", {}),
    ("conversation.message", "Role", "robot"),
    ("conversation.message", "TurnIndex", 1.5),
    ("conversation.message", "MessageId", "message_1"),
    ("conversation.ended", "MessageCount", True),
    ("agent.joined", "AgentType", "Alien"),
    ("agent.left", "SessionId", None),
]


def test_all_nine_types_are_there_with_the_fields_of_the_table() -> None:
    assert {name: sorted(one.schema["properties"]) for name, one in BUILT_IN.items()} == {
        name: sorted(field.removesuffix("?") for field in fields.split()) for name, fields in TABLE.items()
    }


@pytest.mark.parametrize("event_type", BUILT_IN.values(), ids=lambda one: one.name)
def test_each_type_explains_itself(event_type: EventType) -> None:
    assert is_valid_name(event_type.name)
    assert event_type.description.endswith(".")
    assert event_type.built_in
    assert meta.is_valid(event_type.schema)
    assert event_type.problems(event_type.example) is None
    # With every rule about text switched on, too, the example is what the field says it is.
    assert Draft202012Validator(event_type.schema, validate_formats=True).is_valid(event_type.example)


@pytest.mark.parametrize("event_type", BUILT_IN.values(), ids=lambda one: one.name)
def test_the_example_shows_every_field(event_type: EventType) -> None:
    absent = set(event_type.schema["properties"]) - set(event_type.example)
    assert absent == set()


@pytest.mark.parametrize(("name", "field"), REQUIRED)
def test_a_required_field_that_is_missing_is_named(name: str, field: str) -> None:
    without = {key: value for key, value in BUILT_IN[name].example.items() if key != field}
    assert BUILT_IN[name].problems(without) == f"{field} is missing"


@pytest.mark.parametrize(("name", "field"), OPTIONAL)
def test_an_optional_field_may_be_absent_or_null(name: str, field: str) -> None:
    event_type = BUILT_IN[name]
    without = {key: value for key, value in event_type.example.items() if key != field}
    assert event_type.problems(without) is None
    assert event_type.problems({**without, field: None}) is None
    assert event_type.problems({**without, field: []}) is not None


@pytest.mark.parametrize(("name", "field", "value"), BROKEN)
def test_a_value_that_breaks_its_rule_is_named(name: str, field: str, value: Any) -> None:
    problem = BUILT_IN[name].problems({**BUILT_IN[name].example, field: value})
    assert problem is not None
    assert problem.startswith(f"{field}: ")


def test_fields_that_nobody_knows_are_allowed() -> None:
    for one in BUILT_IN.values():
        assert one.problems({**one.example, "Extra": {"Anything": [1, None]}}) is None


def test_what_is_inside_a_list_is_named_by_its_place() -> None:
    ended = BUILT_IN["conversation.ended"]
    client = {**ended.example["Clients"][0]}
    del client["LeftAt"]
    assert ended.problems({**ended.example, "Clients": [client]}) == "Clients[0].LeftAt is missing"


def test_the_sentence_is_short_and_has_no_values_in_it() -> None:
    message = BUILT_IN["conversation.message"]
    secret = "4929 1234 5678 9012 " * 50
    problem = message.problems({"Role": secret, "Content": {"Card": secret}, "k" * 900: secret})
    assert problem is not None
    assert len(problem) <= 500
    assert "4929" not in problem
    assert problem.endswith("; and more")


def test_of_a_large_payload_only_the_first_problem_is_told_and_looked_for() -> None:
    """Each problem found costs memory: what this process takes shows how many were looked for."""
    code = """
import resource
from ringback.catalog import BUILT_IN, warm_up
warm_up()
data = {**BUILT_IN["conversation.ended"].example, "Clients": [{}] * 85_000}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(BUILT_IN["conversation.ended"].problems(data))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    problem, mebibytes = ran.stdout.splitlines()
    assert problem.endswith(" is missing; there may be more")
    assert problem.startswith("Clients[0].")
    assert int(mebibytes) < 100


def test_of_an_ordinary_payload_several_problems_are_told() -> None:
    ended = BUILT_IN["conversation.ended"]
    clients = [{**ended.example["Clients"][0]} for _ in range(4)]
    del clients[0]["LeftAt"], clients[3]["LeftAt"]
    problem = ended.problems({**ended.example, "Clients": clients, "MessageCount": -1})
    assert problem is not None
    told = {one.partition(":")[0] for one in problem.split("; ")}
    assert told == {"Clients[0].LeftAt is missing", "Clients[3].LeftAt is missing", "MessageCount"}


@pytest.mark.parametrize("data", [None, [], "text", 3, True])
def test_data_that_is_no_object_is_a_problem(data: Any) -> None:
    problem = BUILT_IN["call.started"].problems(data)
    assert problem is not None
    assert problem.startswith("Data: ")


def _deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"Deeper": value}
    return value


@pytest.mark.parametrize(
    "value",
    ["\ud800", {"\udfff": 1}, 10**400, -(10**5000), float("inf"), float("nan"), _deep(600), "\x00", 2**64],
    ids=["surrogate", "surrogate key", "big", "bigger", "infinite", "not a number", "deep", "nul", "2**64"],
)
@pytest.mark.parametrize("field", ["Content", "TurnIndex", "Extra"])
def test_nothing_that_python_can_hold_makes_the_check_fail(field: str, value: Any) -> None:
    message = BUILT_IN["conversation.message"]
    problem = message.problems({**message.example, field: value})
    assert problem is None or len(problem) <= 500


def test_a_schema_that_points_elsewhere_fetches_nothing() -> None:
    elsewhere = EventType(
        name="order.paid", description="", schema={"$ref": "http://127.0.0.1:9/schema.json"}, example={}
    )
    problem = elsewhere.problems({})
    assert problem is not None


def test_types_are_cheap_to_know_until_a_payload_is_checked() -> None:
    code = "import sys, ringback.catalog; sys.exit('jsonschema_rs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_after_a_warm_up_nothing_is_left_to_compile() -> None:
    code = (
        "import jsonschema_rs\n"
        "from ringback.catalog import BUILT_IN, warm_up\n"
        "warm_up()\n"
        "del jsonschema_rs.Draft202012Validator\n"
        "assert all(one.problems(one.example) is None for one in BUILT_IN.values())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("call.complete", "call.completed"),
        ("callCompleted", "call.completed"),
        ("Call.Failed", "call.failed"),
        ("conversation.messages", "conversation.message"),
        ("agent.join", "agent.joined"),
        ("invoice.paid", None),
        ("", None),
        ("x" * 100_000, None),
    ],
)
def test_the_nearest_name_is_what_was_probably_meant(written: str, meant: str | None) -> None:
    assert nearest(written, BUILT_IN) == meant


@pytest.mark.parametrize("name", ["call.completed", "order.line_item.added", "a.b", "a1.2"])
def test_dotted_lower_case_names_are_valid(name: str) -> None:
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "call",
        "Call.completed",
        "call.",
        ".call",
        "call..x",
        "call completed",
        "call.é",
        "a.b\n",
        "a." * 60,
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert not is_valid_name(name)
