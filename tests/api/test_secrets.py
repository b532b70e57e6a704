"""A secret's life through the API: made, rotated, revealed, gone."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import closing
from typing import Any

import apsw
import pytest
from standardwebhooks import Webhook

from ringback.signing import SigningKey, standard_signature
from ringback.store.port import Change
from tests.api.conftest import Api, row_id

OWN = "the secret of before"
DAY_MS = 86_400_000


async def path_of(api: Api, **fields: Any) -> str:
    business_id = await api.business()
    return f"/business/{business_id}/integrations/{(await api.integration(business_id, **fields))['Id']}"


@pytest.fixture
async def path(api: Api) -> str:
    """Of an integration with a secret of its owner's."""
    return await path_of(api, EncryptedFields={"Secret": OWN})


async def rotate(api: Api, path: str, **form: Any) -> Any:
    return await api.data("POST", f"{path}/secret/rotate", form)


async def reveal(api: Api, path: str) -> Any:
    return await api.data("POST", f"{path}/secret/reveal")


async def refused(api: Api, path: str, form: Any = None) -> tuple[int, str]:
    response = await api.call("POST", path, form)
    return response.status_code, response.json()["Code"]


def states(integration: Any) -> list[str]:
    return [one["State"] for one in integration["Secrets"]]


# ---------------------------------------------------------------- rotation


async def test_a_rotation_answers_with_the_integration_and_the_new_secret(api: Api, path: str) -> None:
    before = await api.data("GET", path)

    rotated = await rotate(api, path)

    new, old = rotated["Secrets"]
    assert rotated["Secret"].startswith("whsec_")
    assert rotated["Secret"].endswith(new["EndsIn"])
    assert (new["State"], new["ExpiresAt"]) == ("current", None)
    assert (old["Id"], old["State"]) == (before["Secrets"][0]["Id"], "outgoing")
    assert rotated["Version"] == before["Version"] + 1
    read = await api.call("GET", path)
    assert read.json()["Data"]["Secrets"] == rotated["Secrets"]
    assert rotated["Secret"] not in read.text
    assert "Secret" not in read.json()["Data"]


@pytest.mark.parametrize(("form", "seconds"), [({}, 86_400), ({"OverlapSeconds": 7}, 7)])
async def test_an_overlap_is_a_day_unless_it_is_said(
    api: Api, path: str, form: dict[str, int], seconds: int
) -> None:
    rotated = await rotate(api, path, **form)
    secrets = (await api.store.get_integration(1, row_id(rotated["Id"]))).secrets

    current, outgoing = secrets
    assert outgoing.expires_at == current.created_at + seconds * 1000


async def test_a_rotation_may_come_without_a_body(api: Api, path: str) -> None:
    assert states(await api.data("POST", f"{path}/secret/rotate")) == ["current", "outgoing"]


async def test_a_secret_of_ones_own_is_taken_and_not_repeated(api: Api, path: str) -> None:
    rotated = await rotate(api, path, Secret="the secret of after")

    assert rotated["Secret"] is None
    assert (await reveal(api, path))["Secret"] == "the secret of after"


async def test_without_an_overlap_the_old_one_is_gone_at_once(api: Api, path: str) -> None:
    rotated = await rotate(api, path, OverlapSeconds=0)

    assert states(rotated) == ["current"]
    assert (await reveal(api, path))["Outgoing"] is None


async def test_a_first_secret_has_nothing_to_overlap_with(api: Api) -> None:
    path = await path_of(api)

    rotated = await rotate(api, path, OverlapSeconds=60)

    assert states(rotated) == ["current"]
    assert (await refused(api, f"{path}/secret/rotate/finish")) == (409, "CONFLICT")


async def test_a_second_rotation_waits_for_the_first(api: Api, path: str) -> None:
    rotated = await rotate(api, path)

    assert await refused(api, f"{path}/secret/rotate", {}) == (409, "CONFLICT")
    assert await refused(api, f"{path}/secret/rotate", {"OverlapSeconds": 0}) == (409, "CONFLICT")
    assert (await api.data("GET", path))["Secrets"] == rotated["Secrets"]

    api.clock.pass_ms(DAY_MS + 60_000)
    assert states(await rotate(api, path)) == ["current", "outgoing"]


async def test_of_rotations_at_once_one_wins(api: Api, path: str) -> None:
    answers = await asyncio.gather(*(api.call("POST", f"{path}/secret/rotate", {}) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    (winner,) = (answer.json()["Data"] for answer in answers if answer.is_success)
    assert (await reveal(api, path))["Secret"] == winner["Secret"]


async def test_finish_leaves_the_new_one_alone(api: Api, path: str) -> None:
    rotated = await rotate(api, path)

    finished = await api.data("POST", f"{path}/secret/rotate/finish")

    assert finished["Secrets"] == rotated["Secrets"][:1]
    assert "Secret" not in finished
    assert await refused(api, f"{path}/secret/rotate/finish") == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"OverlapSeconds": -1}, "OverlapSeconds"),
        ({"OverlapSeconds": 604_801}, "OverlapSeconds"),
        ({"OverlapSeconds": 1.5}, "OverlapSeconds"),
        ({"OverlapSeconds": "60"}, "OverlapSeconds"),
        ({"OverlapSeconds": True}, "OverlapSeconds"),
        ({"Secret": ""}, "Secret"),
        ({"Secret": "short"}, "Secret"),
        ({"Secret": "x" * 257}, "Secret"),
        ({"Secret": "whsec_AAAA"}, "Secret"),
        ({"Secret": OWN}, "Secret"),
        ({"GenerateSecret": True}, "GenerateSecret"),
    ],
)
async def test_a_fault_is_named_and_changes_nothing(
    api: Api, path: str, form: dict[str, Any], field: str
) -> None:
    before = await api.data("GET", path)

    response = await api.call("POST", f"{path}/secret/rotate", form)

    assert (response.status_code, response.json()["Code"]) == (422, "VALIDATION_FAILED")
    assert [error["Field"] for error in response.json()["Errors"]] == [field]
    assert OWN not in response.text
    assert await api.data("GET", path) == before


@pytest.mark.parametrize("seconds", [604_800, 0])
async def test_the_longest_and_the_shortest_overlap_are_taken(api: Api, path: str, seconds: int) -> None:
    assert (await api.call("POST", f"{path}/secret/rotate", {"OverlapSeconds": seconds})).status_code == 200


async def test_a_patch_is_no_rotation_and_says_what_is(api: Api, path: str) -> None:
    response = await api.call("PATCH", path, {"EncryptedFields": {"Secret": "another secret"}})

    assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")
    assert "secret/rotate" in response.json()["Message"]


# ---------------------------------------------------------------- the end of an overlap


async def test_an_expired_secret_is_shown_by_nobody_though_it_is_still_stored(api: Api, path: str) -> None:
    await rotate(api, path, OverlapSeconds=60)

    api.clock.pass_ms(59_000)
    assert states(await api.data("GET", path)) == ["current", "outgoing"]
    api.clock.pass_ms(2_000)

    assert states(await api.data("GET", path)) == ["current"]
    page = await api.data("GET", path.rpartition("/")[0])
    assert [states(one) for one in page["Items"]] == [["current"]]
    assert (await reveal(api, path))["Outgoing"] is None
    assert await refused(api, f"{path}/secret/rotate/finish") == (409, "CONFLICT")
    assert len((await api.store.get_integration(1, row_id(path.rpartition("/")[2]))).secrets) == 2


async def test_a_change_while_it_expires_does_not_bring_it_back(api: Api, path: str) -> None:
    rotated = await rotate(api, path, OverlapSeconds=60)
    read = await api.store.get_integration(1, row_id(rotated["Id"]))
    api.clock.pass_ms(61_000)
    sweep = Change(actor="system", action="secret.expire", at=api.store.now())
    assert await api.store.expire_secrets(10, sweep) == 1

    await api.store.save_integration(read, sweep)

    assert len((await api.store.get_integration(1, row_id(rotated["Id"]))).secrets) == 1


# ---------------------------------------------------------------- reveal


@pytest.mark.parametrize("secret", [OWN, "whsec_" + b64encode(bytes(range(32))).decode()])
async def test_what_is_revealed_verifies_what_is_signed(api: Api, secret: str) -> None:
    path = await path_of(api, EncryptedFields={"Secret": secret})

    revealed = await reveal(api, path)

    assert revealed["Secret"] == secret
    assert revealed.keys() == {"Id", "Secret", "StandardSecret", "CreatedAt", "Outgoing"}
    now = api.store.now() // 1000
    signature = standard_signature([SigningKey(secret)], "evt_1", now, b"{}")
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    Webhook(revealed["StandardSecret"]).verify(b"{}", headers)


async def test_both_are_revealed_during_an_overlap(api: Api, path: str) -> None:
    rotated = await rotate(api, path)

    revealed = await reveal(api, path)

    assert (revealed["Id"], revealed["Secret"]) == (rotated["Secrets"][0]["Id"], rotated["Secret"])
    old = rotated["Secrets"][1]
    assert revealed["Outgoing"] == {
        "Id": old["Id"],
        "Secret": OWN,
        "StandardSecret": "whsec_" + b64encode(OWN.encode()).decode(),
        "ExpiresAt": old["ExpiresAt"],
    }


async def test_there_is_nothing_to_reveal_without_a_secret(api: Api) -> None:
    path = await path_of(api)

    assert await refused(api, f"{path}/secret/reveal") == (409, "CONFLICT")
    assert await audited(api, "secret.reveal") == []


async def test_nothing_is_revealed_that_cannot_be_written_down(api: Api, path: str) -> None:
    with closing(apsw.Connection(str(api.folder / "ringback.db"))) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")

    response = await api.call("POST", f"{path}/secret/reveal")

    assert not response.is_success
    assert OWN not in response.text


# ---------------------------------------------------------------- written down, and kept by nobody


async def audited(api: Api, action: str) -> list[Any]:
    page = await api.data("GET", "/business/1/audit")
    return [row for row in page["Items"] if row["Action"] == action]


async def test_every_step_of_a_life_is_audited_without_the_secret(api: Api, path: str) -> None:
    integration = path.rpartition("/")[2]
    secret = (await rotate(api, path))["Secret"]
    await reveal(api, path)
    await api.data("POST", f"{path}/secret/rotate/finish")
    await rotate(api, path, OverlapSeconds=1)
    api.clock.pass_ms(2_000)
    await api.store.expire_secrets(10, Change(actor="system", action="secret.expire", at=api.store.now()))

    response = await api.call("GET", "/business/1/audit")

    rows = response.json()["Data"]["Items"]
    steps = [(row["Actor"], row["Action"], row["Object"]) for row in rows if "secret" in row["Action"]]
    assert steps[::-1] == [
        ("key:operator", "secret.rotate", integration),
        ("key:operator", "secret.reveal", integration),
        ("key:operator", "secret.finish", integration),
        ("key:operator", "secret.rotate", integration),
        ("system", "secret.expire", integration),
    ]
    assert secret not in response.text
    assert OWN not in response.text


async def test_answers_with_a_secret_are_kept_by_nobody(api: Api) -> None:
    business_id = await api.business()
    path = f"/business/{business_id}/integrations"
    form = {
        "Type": "webhook",
        "FriendlyName": "x",
        "Fields": {"Url": "https://a.example.com/", "Events": ["*"]},
    }
    created = await api.call("POST", path, {**form, "GenerateSecret": True})
    one = f"{path}/{created.json()['Data']['Id']}"

    answers = [
        created,
        await api.call("PATCH", one, {"Description": "x"}),
        await api.call("POST", f"{one}/secret/rotate", {}),
        await api.call("POST", f"{one}/secret/reveal"),
        await api.call("POST", "/keys", {"FriendlyName": "x", "Scopes": ["read"]}),
    ]

    assert [answer.headers.get("cache-control") for answer in answers] == ["no-store"] * len(answers)
