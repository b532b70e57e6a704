from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import URL, Api, row_id

VALID = {"Type": "webhook", "FriendlyName": "Production", "Fields": {"Url": URL, "Events": ["call.*"]}}


async def path_of(api: Api, **fields: Any) -> str:
    business_id = await api.business()
    return f"/business/{business_id}/integrations/{(await api.integration(business_id, **fields))['Id']}"


async def test_an_integration_has_its_profile_s_settings(api: Api) -> None:
    business_id = await api.business()

    response = await api.call("POST", f"/business/{business_id}/integrations", VALID)

    integration = response.json()["Data"]
    assert response.status_code == 201
    assert integration.pop("Id").startswith("intg_")
    for time in ("CreatedAt", "UpdatedAt", "StateSince"):
        assert integration.pop(time).endswith("Z")
    assert integration == {
        "BusinessId": business_id,
        "Type": "webhook",
        "FriendlyName": "Production",
        "Fields": {"Url": URL, "Events": ["call.*"]},
        "State": "active",
        "StateReason": None,
        "Secrets": [],
        "Profile": "iqra",
        "Format": "iqra",
        "TimeoutSeconds": 5,
        "RetrySchedule": [60, 300, 900, 3600, 21600],
        "SuccessCodes": [200],
        "MaxConcurrency": 50,
        "RateLimitPerSecond": None,
        "Ordered": None,
        "Headers": {},
        "Description": None,
        "Version": 1,
        "Secret": None,
    }


async def test_every_setting_is_kept(api: Api) -> None:
    settings = {
        "Profile": "standard",
        "Format": "iqra",
        "TimeoutSeconds": 30,
        "RetrySchedule": [1, 604_800],
        "SuccessCodes": [200, 202, 409],
        "MaxConcurrency": 1,
        "Description": "two\nlines",
    }

    path = await path_of(api, **settings, Headers={"X-Team": "support"}, Ordered=False)

    integration = await api.data("GET", path)
    assert {name: integration[name] for name in settings} == settings
    assert integration["Headers"] == {"X-Team": "***"}


async def test_no_retries_is_a_schedule(api: Api) -> None:
    assert (await api.data("GET", await path_of(api, RetrySchedule=[])))["RetrySchedule"] == []


async def test_the_standard_profile_has_its_own_defaults(api: Api) -> None:
    integration = await api.data("GET", await path_of(api, Profile="standard"))

    assert integration["TimeoutSeconds"] == 15
    assert integration["SuccessCodes"] == list(range(200, 300))
    assert len(integration["RetrySchedule"]) == 9


async def test_an_event_that_is_there_twice_is_kept_once(api: Api) -> None:
    events = ["call.*", "*", "call.*", "call.failed"]

    integration = await api.data("GET", await path_of(api, Fields={"Url": URL, "Events": events}))

    assert integration["Fields"]["Events"] == ["call.*", "*", "call.failed"]


# ---------------------------------------------------------------- what is refused

TARGET = {"Url": URL, "Events": ["*"]}
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"Type": "email"}, "Type"),
    ({"FriendlyName": ""}, "FriendlyName"),
    ({"FriendlyName": "x" * 101}, "FriendlyName"),
    ({"FriendlyName": "a\rb"}, "FriendlyName"),
    ({"Fields": {"Url": URL}}, "Fields.Events"),
    ({"Fields": TARGET | {"Url": "http://hooks.example.com/"}}, "Fields.Url"),
    ({"Fields": TARGET | {"Url": "https://10.0.0.1/"}}, "Fields.Url"),
    ({"Fields": TARGET | {"Url": "https://u:p@example.com/"}}, "Fields.Url"),
    ({"Fields": TARGET | {"Url": "https://example.com/" + "x" * 2048}}, "Fields.Url"),
    ({"Fields": TARGET | {"Events": []}}, "Fields.Events"),
    ({"Fields": TARGET | {"Events": ["call.*"] * 51}}, "Fields.Events"),
    ({"Fields": TARGET | {"Events": ["*", "call.complete"]}}, "Fields.Events[1]"),
    ({"Fields": TARGET | {"Events": ["billing.*"]}}, "Fields.Events[0]"),
    ({"Fields": TARGET | {"Events": ["call*"]}}, "Fields.Events[0]"),
    ({"Fields": TARGET | {"Method": "GET"}}, "Fields.Method"),
    ({"EncryptedFields": {"Secret": "short"}}, "EncryptedFields.Secret"),
    ({"EncryptedFields": {"Secret": "whsec_AAAA"}}, "EncryptedFields.Secret"),
    ({"EncryptedFields": {"Secret": "long enough\n"}}, "EncryptedFields.Secret"),
    ({"EncryptedFields": {"Secret": "long enough", "Key": "x"}}, "EncryptedFields.Key"),
    ({"EncryptedFields": {"Secret": "long enough"}, "GenerateSecret": True}, "GenerateSecret"),
    ({"Profile": "svix"}, "Profile"),
    ({"Format": "xml"}, "Format"),
    ({"Ordered": True}, "Ordered"),
    ({"RateLimitPerSecond": 5}, "RateLimitPerSecond"),
    ({"TimeoutSeconds": 0}, "TimeoutSeconds"),
    ({"TimeoutSeconds": 31}, "TimeoutSeconds"),
    ({"TimeoutSeconds": "5"}, "TimeoutSeconds"),
    ({"TimeoutSeconds": 5.5}, "TimeoutSeconds"),
    ({"TimeoutSeconds": True}, "TimeoutSeconds"),
    ({"RetrySchedule": [0]}, "RetrySchedule[0]"),
    ({"RetrySchedule": [60, 604_801]}, "RetrySchedule[1]"),
    ({"RetrySchedule": [1] * 21}, "RetrySchedule"),
    ({"SuccessCodes": []}, "SuccessCodes"),
    ({"SuccessCodes": [301]}, "SuccessCodes[0]"),
    ({"SuccessCodes": [100]}, "SuccessCodes[0]"),
    ({"SuccessCodes": [600]}, "SuccessCodes[0]"),
    ({"MaxConcurrency": 0}, "MaxConcurrency"),
    ({"MaxConcurrency": 1_001}, "MaxConcurrency"),
    ({"Description": "x" * 501}, "Description"),
    ({"Description": "a\u0000b"}, "Description"),
    ({"Headers": {"webhook-id": "x"}}, "Headers.webhook-id"),
    ({"Headers": {"X-IQRA-Signature": "x"}}, "Headers.X-IQRA-Signature"),
    ({"Headers": {"Content-Length": "0"}}, "Headers.Content-Length"),
    ({"Headers": {"Host": "internal"}}, "Headers.Host"),
    ({"Headers": {"X Team": "x"}}, "Headers.X Team"),
    ({"Headers": {"X-Team:": "x"}}, "Headers.X-Team:"),
    ({"Headers": {"": "x"}}, "Headers."),
    ({"Headers": {"X-Team": "a\r\nX-Evil: b"}}, "Headers.X-Team"),
    ({"Headers": {"X-Team\r\nX-Evil": "b"}}, "Headers.X-Team\r\nX-Evil"),
    ({"Headers": {"X-Team": "a\nb"}}, "Headers.X-Team"),
    ({"Headers": {"X-Team": "a\u0000b"}}, "Headers.X-Team"),
    ({"Headers": {"X-Team": "é"}}, "Headers.X-Team"),
    ({"Headers": {"X-Team": " padded "}}, "Headers.X-Team"),
    ({"Headers": {"X-Team": ""}}, "Headers.X-Team"),
    ({"Headers": {"X-Team": "***"}}, "Headers.X-Team"),
    ({"Headers": {"X-Team": "a", "x-team": "b"}}, "Headers.x-team"),
    ({"Headers": {"X-Team": 1}}, "Headers.X-Team"),
    ({"Headers": {f"X-{number}": "x" for number in range(21)}}, "Headers"),
    ({"Headers": {"X-Team": "x" * 4_097}}, "Headers"),
    ({"Headers": [["X-Team", "x"]]}, "Headers"),
    ({"Id": "intg_0000000000001"}, "Id"),
    ({"friendlyName": "x"}, "friendlyName"),
]


@pytest.mark.parametrize(("fault", "field"), FAULTS, ids=lambda part: str(part)[:60])
async def test_a_fault_is_named_by_both_calls_and_changes_nothing(
    api: Api, fault: dict[str, Any], field: str
) -> None:
    path = await path_of(api)
    collection = path.rpartition("/")[0]
    before = await api.data("GET", path)

    for method, target, form in (("POST", collection, VALID | fault), ("PATCH", path, fault)):
        response = await api.call(method, target, form)
        assert (response.status_code, response.json()["Code"]) == (422, "VALIDATION_FAILED")
        assert field in [one["Field"] for one in response.json()["Errors"]]

    assert await api.data("GET", path) == before
    assert len((await api.data("GET", collection))["Items"]) == 1


async def test_all_faults_are_named_at_once(api: Api) -> None:
    fault = {
        "Fields": {"Url": "http://example.com", "Events": ["call.complete"]},
        "EncryptedFields": {"Secret": "short"},
        "Headers": {"Host": "x"},
    }

    response = await api.call("POST", f"/business/{await api.business()}/integrations", VALID | fault)

    faults = [one["Field"] for one in response.json()["Errors"]]
    assert faults == ["Fields.Url", "Fields.Events[0]", "EncryptedFields.Secret", "Headers.Host"]


async def test_an_unknown_event_comes_with_the_nearest(api: Api) -> None:
    form = VALID | {"Fields": {"Url": URL, "Events": ["call.complete"]}}

    response = await api.call("POST", f"/business/{await api.business()}/integrations", form)

    assert "call.completed" in response.json()["Errors"][0]["Message"]


# ---------------------------------------------------------------- secrets


async def test_a_generated_secret_is_in_one_answer(api: Api) -> None:
    business_id = await api.business()

    created = await api.integration(business_id, GenerateSecret=True)

    secret = created["Secret"]
    assert secret.startswith("whsec_")
    (shown,) = created["Secrets"]
    assert (shown["State"], shown["ExpiresAt"]) == ("current", None)
    assert secret.endswith(shown["EndsIn"])
    read = await api.call("GET", f"/business/{business_id}/integrations/{created['Id']}")
    assert secret not in read.text
    assert "Secret" not in read.json()["Data"]


async def test_the_stored_secret_opens_with_its_own_name_and_is_the_one_that_was_given(api: Api) -> None:
    business_id = await api.business()
    created = await api.integration(business_id, EncryptedFields={"Secret": "geheim-übergeheim"})

    assert created["Secret"] is None
    stored = await api.store.get_integration(business_id, row_id(created["Id"]))
    (secret,) = stored.secrets
    assert (
        api.context.keyring.open(secret.sealed, f"secret:{secret.secret_id}") == "geheim-übergeheim".encode()
    )


@pytest.mark.parametrize("form", [{"EncryptedFields": {"Secret": "first secret"}}, {"GenerateSecret": True}])
async def test_a_first_secret_can_come_later_and_a_second_is_a_rotation(
    api: Api, form: dict[str, Any]
) -> None:
    path = await path_of(api)

    changed = await api.data("PATCH", path, form)
    assert len(changed["Secrets"]) == 1
    assert (changed["Secret"] is not None) == ("GenerateSecret" in form)

    second = await api.call("PATCH", path, form)
    assert (second.status_code, second.json()["Code"]) == (409, "CONFLICT")
    assert (await api.data("GET", path))["Secrets"] == changed["Secrets"]


async def test_headers_are_stored_sealed(api: Api) -> None:
    path = await path_of(api, Headers={"X-Api-Key": "hunter2hunter2"})

    stored = await api.store.get_integration(1, row_id(path.rpartition("/")[2]))

    assert stored.sealed_headers is not None
    assert b"hunter2" not in stored.sealed_headers
    owner = f"headers:{stored.integration_id}"
    assert api.context.keyring.open(stored.sealed_headers, owner) == b'[["X-Api-Key","hunter2hunter2"]]'


# ---------------------------------------------------------------- changes


async def test_a_patch_replaces_what_it_names_and_leaves_the_rest(api: Api) -> None:
    path = await path_of(api, TimeoutSeconds=9, Headers={"A": "1", "B": "2"})

    fields = {"Url": URL + "/2", "Events": ["agent.*"]}
    changed = await api.data("PATCH", path, {"Fields": fields, "Headers": {"C": "3"}})

    assert changed["Fields"] == fields
    assert changed["Headers"] == {"C": "***"}
    assert (changed["TimeoutSeconds"], changed["FriendlyName"]) == (9, "Production")
    assert changed["Version"] == 2


async def test_null_restores_the_default(api: Api) -> None:
    path = await path_of(
        api,
        Profile="standard",
        TimeoutSeconds=9,
        RetrySchedule=[1],
        SuccessCodes=[204],
        MaxConcurrency=3,
        Headers={"A": "1"},
        Description="x",
    )
    names = (
        "Profile",
        "Format",
        "TimeoutSeconds",
        "RetrySchedule",
        "SuccessCodes",
        "MaxConcurrency",
        "RateLimitPerSecond",
        "Ordered",
        "Headers",
        "Description",
    )

    restored = await api.data("PATCH", path, dict.fromkeys(names))

    plain = await api.data("GET", await path_of(api))
    assert {name: restored[name] for name in names} == {name: plain[name] for name in names}


@pytest.mark.parametrize("name", ["Type", "FriendlyName", "Fields", "EncryptedFields"])
async def test_what_has_no_default_cannot_be_null(api: Api, name: str) -> None:
    response = await api.call("PATCH", await path_of(api), {name: None})

    assert response.status_code == 422
    assert response.json()["Errors"] == [{"Field": name, "Message": "cannot be null"}]


async def test_a_patch_that_changes_nothing_is_no_change(api: Api) -> None:
    path = await path_of(api, TimeoutSeconds=9)

    assert (await api.data("PATCH", path, {}))["Version"] == 1
    assert (await api.data("PATCH", path, {"TimeoutSeconds": 9}))["Version"] == 1


async def test_a_lost_update_is_refused(api: Api) -> None:
    path = await path_of(api)
    await api.data("PATCH", path, {"FriendlyName": "Mine", "Version": 1})

    response = await api.call("PATCH", path, {"FriendlyName": "Theirs", "Version": 1})

    assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")
    assert (await api.data("GET", path))["FriendlyName"] == "Mine"


async def test_changes_of_different_fields_at_the_same_time_are_all_kept(api: Api) -> None:
    path = await path_of(api)

    await asyncio.gather(
        api.data("PATCH", path, {"FriendlyName": "New"}),
        api.data("PATCH", path, {"TimeoutSeconds": 7}),
        api.data("PATCH", path, {"Description": "x"}),
        api.data("POST", path + "/pause"),
    )

    integration = await api.data("GET", path)
    assert (integration["FriendlyName"], integration["TimeoutSeconds"]) == ("New", 7)
    assert (integration["Description"], integration["State"]) == ("x", "paused")
    assert integration["Version"] == 5


async def test_thirty_changes_at_the_same_time_are_all_made(api: Api) -> None:
    path = await path_of(api)

    answers = await asyncio.gather(
        *(api.call("PATCH", path, {"FriendlyName": f"Name {number}"}) for number in range(30))
    )

    assert {answer.status_code for answer in answers} == {200}
    assert (await api.data("GET", path))["Version"] == 31


async def test_of_two_updates_of_the_same_version_one_is_refused(api: Api) -> None:
    path = await path_of(api)

    answers = await asyncio.gather(
        *(api.call("PATCH", path, {"FriendlyName": name, "Version": 1}) for name in "ab")
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_change_is_in_force_before_its_answer(api: Api) -> None:
    path = await path_of(api)
    integration_id = row_id(path.rpartition("/")[2])

    await api.data("PATCH", path, {"TimeoutSeconds": 7})
    assert api.context.live.current.integrations[integration_id].settings.timeout_seconds == 7

    await api.data("DELETE", path)
    assert integration_id not in api.context.live.current.integrations


async def test_a_deleted_integration_is_gone(api: Api) -> None:
    path = await path_of(api)

    assert await api.data("DELETE", path) is None

    for method in ("GET", "DELETE", "PATCH"):
        response = await api.call(method, path, {} if method == "PATCH" else None)
        assert (response.status_code, response.json()["Code"]) == (404, "NOT_FOUND")


# ---------------------------------------------------------------- states

MOVES = {
    ("active", "pause"): "paused",
    ("active", "disable"): "disabled",
    ("active", "resume"): "active",
    ("active", "enable"): "active",
    ("paused", "pause"): "paused",
    ("paused", "resume"): "active",
    ("paused", "disable"): "disabled",
    ("paused", "enable"): None,
    ("disabled", "enable"): "active",
    ("disabled", "disable"): "disabled",
    ("disabled", "pause"): None,
    ("disabled", "resume"): None,
}
WAY = {"active": [], "paused": ["pause"], "disabled": ["disable"]}


@pytest.mark.parametrize(("state", "verb"), MOVES)
async def test_each_verb_moves_from_the_states_it_is_for(api: Api, state: str, verb: str) -> None:
    path = await path_of(api)
    for step in WAY[state]:
        await api.data("POST", f"{path}/{step}")
    before = await api.data("GET", path)
    target = MOVES[state, verb]

    response = await api.call("POST", f"{path}/{verb}")

    after = await api.data("GET", path)
    if target is None:
        assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")
        assert after == before
    else:
        assert response.json()["Data"] == after
        assert after["State"] == target
        assert (after["Version"] == before["Version"]) == (target == state)
        assert (after["StateReason"] is None) == (target == "active")


@pytest.mark.parametrize(("away", "back"), [("pause", "resume"), ("disable", "enable")])
async def test_what_is_let_go_is_woken(api: Api, away: str, back: str) -> None:
    path = await path_of(api)
    await api.data("POST", f"{path}/{away}")
    assert api.woken == []

    await api.data("POST", f"{path}/{back}")

    assert api.woken == [row_id(path.rpartition("/")[2])]


@pytest.mark.parametrize("verb", ["recover"])
async def test_what_is_not_there_yet_is_not_found(api: Api, verb: str) -> None:
    response = await api.call("POST", f"{await path_of(api)}/{verb}", {})

    assert (response.status_code, response.json()["Code"]) == (404, "NOT_FOUND")


async def test_an_action_takes_no_fields(api: Api) -> None:
    path = await path_of(api)

    assert (await api.call("POST", f"{path}/pause", {})).status_code == 200
    response = await api.call("POST", f"{path}/resume", {"Reason": "done"})
    assert response.json()["Errors"] == [{"Field": "Reason", "Message": "is not a known field"}]
    assert (await api.data("GET", path))["State"] == "paused"
