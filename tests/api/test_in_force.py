"""What a call has changed is in force on the node that answers, before it answers."""

from __future__ import annotations

from ringback.api.integrations import row_id_of
from tests.api.conftest import Api


async def test_an_integration_is_matched_from_its_answer_on(api: Api) -> None:
    business_id = await api.business()

    made = await api.integration(business_id)

    matched = api.context.live.current.businesses[business_id].match("call.completed")
    assert [one.integration_id for one in matched] == [row_id_of(made["Id"])]


async def test_a_paused_integration_is_sent_nothing_from_its_answer_on(api: Api) -> None:
    business_id = await api.business()
    made = await api.integration(business_id)

    await api.data("POST", f"/business/{business_id}/integrations/{made['Id']}/pause")

    assert row_id_of(made["Id"]) not in api.context.live.current.open


async def test_a_business_takes_events_from_its_answer_on_and_none_once_it_is_deleted(api: Api) -> None:
    business_id = await api.business()
    assert business_id in api.context.live.current.businesses

    await api.data("DELETE", f"/business/{business_id}")

    assert business_id not in api.context.live.current.businesses
