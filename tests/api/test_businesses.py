from __future__ import annotations

import asyncio

import pytest

from tests.api.conftest import Api


async def test_a_business_is_created_with_its_defaults_and_read_back(api: Api) -> None:
    created = await api.call("POST", "/business", {"Name": "Acme 📞", "ExternalId": "acme-1"})

    business = created.json()["Data"]
    assert created.status_code == 201
    assert business.pop("CreatedAt").endswith("Z")
    assert business == {
        "BusinessId": 1,
        "Name": "Acme 📞",
        "ExternalId": "acme-1",
        "Enabled": True,
        "PayloadValidation": "warn",
    }
    assert (await api.data("GET", "/business/1"))["Name"] == "Acme 📞"


async def test_an_external_id_is_there_once(api: Api) -> None:
    await api.business(ExternalId="one")
    other = await api.business(ExternalId="two")

    for response in (
        await api.call("POST", "/business", {"Name": "x", "ExternalId": "one"}),
        await api.call("PATCH", f"/business/{other}", {"ExternalId": "one"}),
    ):
        assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")


async def test_a_patch_changes_what_it_names_and_null_restores_the_default(api: Api) -> None:
    business_id = await api.business(ExternalId="one", PayloadValidation="reject", Enabled=False)

    changed = await api.data("PATCH", f"/business/{business_id}", {"Name": "New"})
    assert (changed["Name"], changed["ExternalId"], changed["Enabled"]) == ("New", "one", False)

    nulls = {"ExternalId": None, "PayloadValidation": None, "Enabled": None}
    restored = await api.data("PATCH", f"/business/{business_id}", nulls)
    assert (restored["ExternalId"], restored["PayloadValidation"], restored["Enabled"]) == (
        None,
        "warn",
        True,
    )


async def test_a_name_cannot_be_taken_away(api: Api) -> None:
    response = await api.call("PATCH", f"/business/{await api.business()}", {"Name": None})

    assert response.json()["Errors"] == [{"Field": "Name", "Message": "cannot be null"}]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "Name"),
        ({"Name": 1}, "Name"),
        ({"Name": ""}, "Name"),
        ({"Name": "   "}, "Name"),
        ({"Name": "a\nb"}, "Name"),
        ({"Name": "a\u0000b"}, "Name"),
        ({"Name": "x" * 101}, "Name"),
        ({"Name": "x", "Enabled": "true"}, "Enabled"),
        ({"Name": "x", "Enabled": 1}, "Enabled"),
        ({"Name": "x", "PayloadValidation": "strict"}, "PayloadValidation"),
        ({"Name": "x", "BusinessId": 7}, "BusinessId"),
        ({"name": "x", "Name": "x"}, "name"),
        ([], "Body"),
    ],
)
async def test_a_fault_is_named(api: Api, form: object, field: str) -> None:
    response = await api.call("POST", "/business", form)

    assert response.status_code == 422
    assert [fault["Field"] for fault in response.json()["Errors"]] == [field]


async def test_changes_at_the_same_time_are_all_kept(api: Api) -> None:
    business_id = await api.business()
    path = f"/business/{business_id}"

    await asyncio.gather(
        api.data("PATCH", path, {"Name": "New"}),
        api.data("PATCH", path, {"Enabled": False}),
        api.data("PATCH", path, {"ExternalId": "one"}),
        api.data("PATCH", path, {"PayloadValidation": "off"}),
    )

    business = await api.data("GET", path)
    assert (business["Name"], business["Enabled"], business["ExternalId"], business["PayloadValidation"]) == (
        "New",
        False,
        "one",
        "off",
    )


async def test_a_deleted_business_is_gone_at_once(api: Api) -> None:
    business_id = await api.business()
    integration = (await api.integration(business_id))["Id"]

    await api.data("DELETE", f"/business/{business_id}")

    for path in (f"/business/{business_id}", f"/business/{business_id}/integrations/{integration}"):
        assert (await api.call("GET", path)).status_code == 404
    assert (await api.call("DELETE", f"/business/{business_id}")).status_code == 404
    assert (await api.data("GET", "/business"))["Items"] == []


async def test_a_change_is_in_force_before_its_answer(api: Api) -> None:
    business_id = await api.business()

    await api.data("PATCH", f"/business/{business_id}", {"Enabled": False})

    assert not api.context.live.current.businesses[business_id].business.enabled
