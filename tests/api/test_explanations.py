"""For every animal of the zoo the API alone says what went wrong, why, what to do and what comes next.

A whole node publishes, sends and records; the words are read where anybody reads them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback import ids
from ringback.api.control import control_app
from ringback.failures import FAILURES, FailureClass
from ringback.model import Integration, IntegrationState, Profile
from ringback.send import Sender
from tests.api.conftest import OPERATOR, Api, operator_key
from tests.builders import change
from tests.engine.node import WholeNode, a_node
from tests.send.dns import SERVER_FAILURE, NameServer
from tests.zoo import Zoo

_C = FailureClass
SHORT = 1  # A time limit in seconds, for receivers that never end.


@dataclass
class Desk:
    """Where people ask."""

    node: WholeNode
    client: httpx.AsyncClient
    zoo: Zoo

    async def get(self, path: str) -> Any:
        return (await self.client.get(f"/api/v1/business/{path}")).json()["Data"]

    async def post(self, path: str, body: Any = None) -> Any:
        return (await self.client.post(f"/api/v1/business/{path}", json=body)).json()["Data"]

    async def delivery(self, to: Integration) -> Any:
        """The newest one of the integration's business, alone."""
        (newest, *_) = (await self.get(f"{to.business_id}/deliveries"))["Items"]
        return await self.get(f"{to.business_id}/deliveries/{newest['Id']}")

    async def attempted(self, to: Integration, attempts: int = 1) -> Any:
        """What is explained after so many attempts of one published event."""
        before = len(self.node.watch.results)
        await self.node.publish(to)
        await self.node.watch.recorded(before + attempts)
        return (await self.delivery(to))["Explanation"]


@pytest.fixture
def dns() -> Iterator[NameServer]:
    with NameServer() as server:
        server.refuse("gone.test")
        server.refuse("broken.test", SERVER_FAILURE)
        server.tell("inside.test", "10.0.0.1")
        yield server


@pytest.fixture
async def desk(tmp_path: Path, api: Api, zoo: Zoo, dns: NameServer) -> AsyncIterator[Desk]:
    sender = Sender(allow_loopback=True, ca_file=zoo.ca_file, nameservers=[dns.address])
    async with a_node(tmp_path / "node.db", sender=lambda _: sender) as node:
        await node.store.create_key(operator_key(), change(at=node.store.now()))
        await node.live.refresh()
        context = dataclasses.replace(
            api.context,
            store=node.store,
            live=node.live,
            keyring=node.keyring,
            attempt_test=node.test_sends.attempt,
            wake=node.engine.wake,
        )
        transport = httpx.ASGITransport(app=control_app(context))
        headers = {"Authorization": f"Token {OPERATOR}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://ringback", headers=headers
        ) as client:
            yield Desk(node, client, zoo)
    await sender.close()


# ---------------------------------------------------------------- every animal of the zoo


@dataclass(frozen=True)
class Animal:
    """A receiver, and what must be read about it: `seen` and `fix` are parts of the texts.

    `url` is a path in the zoo, a whole URL, or the zoo's own maker of one.
    """

    url: Callable[[Zoo], str] | str
    failure: FailureClass | None
    seen: str
    fix: str | None
    settings: dict[str, Any] = field(default_factory=dict)

    def url_in(self, zoo: Zoo) -> str:
        if not isinstance(self.url, str):
            return self.url(zoo)
        return self.url if self.url.startswith("https://") else zoo.url(self.url)


def tls(kind: str) -> Callable[[Zoo], str]:
    return lambda zoo: zoo.tls_url(kind)


SLOW = {"timeout_seconds": 1}
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
MOVED = "status/301?Location="
BLOCKED = _C.UNAUTHORIZED_401_403
ANIMALS: dict[str, Animal] = {
    # no connection
    "unknown name": Animal(
        "https://gone.test/", _C.DNS_NOT_FOUND, "gone.test has no address", "Check the host name"
    ),
    "broken DNS": Animal("https://broken.test/", _C.DNS_TIMEOUT, "broken.test could not be looked up", "dig"),
    "silent DNS": Animal("https://silent.test/", _C.DNS_TIMEOUT, "for silent.test within 1.0 s", "dig", SLOW),
    "private": Animal(
        "https://inside.test/",
        _C.BLOCKED_PRIVATE_ADDRESS,
        "Nothing was sent to inside.test: 10.0.0.1 is not a public address",
        "a public address",
    ),
    "closed": Animal(
        Zoo.closed_url, _C.CONNECT_REFUSED, "No connection to 127.0.0.1: Connection refused", "Start"
    ),
    "full": Animal(
        Zoo.full_url, _C.CONNECT_TIMEOUT, "No connection to 127.0.0.1 within 1.0 s", "firewall", SLOW
    ),
    "resetting": Animal(
        Zoo.resetting_url, _C.CONNECTION_RESET, "Connection reset by peer", "the receiver's log"
    ),
    "reset": Animal(
        "reset", _C.CONNECTION_RESET, "cut before an answer: Connection reset", "the receiver's log"
    ),
    "hang-up": Animal("hang-up", _C.CONNECTION_RESET, "closed by the receiver", "the receiver's log"),
    # TLS
    "expired": Animal(tls("expired"), _C.TLS_EXPIRED, "of 127.0.0.1 expired on 3 May 2020 (23", "Renew"),
    "untrusted": Animal(tls("untrusted"), _C.TLS_UNTRUSTED, "was issued by “trustme", "the full chain"),
    "not valid yet": Animal(tls("not-yet"), _C.TLS_UNTRUSTED, "is not valid before 3 May 2999", "clocks"),
    "self-signed": Animal(tls("self-signed"), _C.TLS_UNTRUSTED, "is self-signed", "a public authority"),
    "wrong name": Animal(
        tls("wrong-name"), _C.TLS_NAME_MISMATCH, "for elsewhere.test, not for 127.0.0.1", "name"
    ),
    "no TLS": Animal(
        tls("plain"), _C.TLS_PROTOCOL, "handshake failed: wrong version number", "Check the port"
    ),
    "silent TLS": Animal(
        tls("silent"), _C.RESPONSE_TIMEOUT, "The TLS handshake did not end", "the port", SLOW
    ),
    # no whole answer
    "never": Animal("never", _C.RESPONSE_TIMEOUT, "No answer within 1.0 s (connect", "Answer first", SLOW),
    "drip": Animal(
        "drip", _C.RESPONSE_TIMEOUT, "The answer did not end within 1.0 s", "Content-Length", SLOW
    ),
    "drip-headers": Animal(
        "drip-headers", _C.RESPONSE_TIMEOUT, "headers did not end", "answer at once", SLOW
    ),
    "half": Animal("half", _C.RESPONSE_TRUNCATED, "answered 200, but the answer ended after 50 bytes", "log"),
    "half-chunk": Animal("half-chunk", _C.RESPONSE_TRUNCATED, "ended after 50 bytes", "the log"),
    "reset-half": Animal("reset-half", _C.RESPONSE_TRUNCATED, "ended after 50 bytes", "the log"),
    "half-headers": Animal(
        "half-headers", _C.RESPONSE_TRUNCATED, "The answer ended within its headers", "the port"
    ),
    "garbage": Animal("garbage", _C.RESPONSE_TRUNCATED, "What came back is not an HTTP answer", "the port"),
    "huge-headers": Animal("huge-headers", _C.TOO_LARGE, "headers are over 64 KiB", "few headers"),
    "endless-headers": Animal("endless-headers", _C.TOO_LARGE, "headers are over 64 KiB", "few headers"),
    "endless-interim": Animal("endless-interim", _C.TOO_LARGE, "headers are over 64 KiB", "few headers"),
    # redirects
    "moved": Animal(
        f"{MOVED}https://new.test/hooks",
        _C.REDIRECT_REFUSED,
        "UTC, a redirect to https://new.test/hooks",
        "If https://new.test/hooks is where events should go",
    ),
    "moved with a query": Animal(
        f"{MOVED}https://new.test/hooks?token=1",
        _C.REDIRECT_REFUSED,
        "to https://new.test/hooks?…",
        "the final URL",
    ),
    "moved to a login": Animal(
        f"{MOVED}/login", _C.REDIRECT_REFUSED, "a redirect to /login", "out of the sign-in"
    ),
    "moved nowhere": Animal("status/304", _C.REDIRECT_REFUSED, "answered 304", "the final URL"),
    # statuses
    "401": Animal(
        "says/401", BLOCKED, 'UTC. It said “{"error":"bad signature"}”', "the raw bytes of the body"
    ),
    "401 for a password": Animal(
        "status/401?WWW-Authenticate=Basic", BLOCKED, "answered 401", "Authorization"
    ),
    "404": Animal("status/404", _C.NOT_FOUND_404, "It answered 404 at ", "Check the path"),
    "405": Animal(
        "status/405?Allow=GET,HEAD", _C.METHOD_405, "UTC; it allows GET,HEAD", "takes POST requests"
    ),
    "409": Animal("status/409", _C.CONFLICT_409, "It answered 409 at ", "handled before"),
    "410": Animal("status/410", _C.GONE_410, "It answered 410 at ", "the new URL"),
    "413": Animal("status/413", _C.PAYLOAD_413, "It answered 413 at ", "Raise that limit"),
    "415": Animal("status/415", _C.MEDIA_415, "It answered 415 at ", "Content-Type"),
    "422": Animal("says/422", _C.REJECTED_4XX, 'It said “{"error"', "Read the answer"),
    "429": Animal("status/429", _C.RATE_LIMITED_429, "It answered 429 at ", "MaxConcurrency"),
    "429, later": Animal(
        "status/429?Retry-After=120",
        _C.RATE_LIMITED_429,
        "with Retry-After 120: the next attempt waits that long (2 m)",
        "MaxConcurrency",
    ),
    "503, some time": Animal(
        "status/503?Retry-After=soon",
        _C.UNAVAILABLE_503,
        "with Retry-After “soon”, which is neither seconds nor a date: ignored",
        "Check that the receiver runs",
    ),
    "503, sooner": Animal(
        "status/503?Retry-After=5",
        _C.UNAVAILABLE_503,
        "no longer than the 1 m that the schedule waits",
        "runs",
    ),
    "503, next week": Animal(
        "status/503?Retry-After=604800",
        _C.UNAVAILABLE_503,
        "waits for 24 h, the most that is granted",
        "runs",
    ),
    "500": Animal("status/500", _C.SERVER_500, "It answered 500 at ", "the receiver's log"),
    "502": Animal("status/502", _C.BAD_GATEWAY_502, "It answered 502 at ", "the application runs"),
    "504": Animal("status/504", _C.GATEWAY_TIMEOUT_504, "It answered 504 at ", "from a queue"),
    "204": Animal("status/204", _C.SUCCESS_NOT_200, "UTC: this integration counts only 200", "add 204 to"),
    # ours
    "a broken header": Animal(
        "ok", _C.SENDER_ERROR, "the receiver is not to blame", "the operator", {"headers": {"X-A": "b\nc"}}
    ),
    # pages for people
    "login": Animal("page/login", BLOCKED, "a login page (“Sign in · Acme”)", "out of the sign-in"),
    "captcha": Animal("page/captcha", BLOCKED, "a page with a captcha (“One more step”)", "that protection"),
    "html": Animal("page/html", _C.NOT_FOUND_404, "an HTML page (“404: page not found”)", "Check the path"),
    "Cloudflare": Animal(
        "page/cloudflare-block",
        BLOCKED,
        "a block page of Cloudflare (“Attention Required! | Cloudflare”, Ray ID 8f2a1b3c4d5e6f70-FRA)",
        "through in the rules of Cloudflare",
    ),
    "Cloudflare's check": Animal(
        "page/cloudflare-challenge", BLOCKED, "a browser check of Cloudflare", "rules of"
    ),
    "Cloudflare 1020": Animal("page/cloudflare-1020", BLOCKED, "a block page of Cloudflare", "rules of"),
    "Cloudflare 502": Animal(
        "page/cloudflare-502", _C.BAD_GATEWAY_502, "an error page of Cloudflare", "can reach"
    ),
    "through Cloudflare": Animal(
        "page/cloudflare-origin", _C.NOT_FOUND_404, "an HTML page (“Not", "Check the path"
    ),
    "Akamai": Animal("page/akamai", BLOCKED, "a block page of Akamai (“Access Denied”)", "rules of Akamai"),
    "AWS WAF": Animal("page/aws-waf", _C.METHOD_405, "a browser check of AWS WAF", "rules of AWS WAF"),
    "AWS": Animal("page/aws-load-balancer", BLOCKED, "a block page of AWS's load balancer", "rules of AWS"),
    "CloudFront": Animal("page/cloudfront", BLOCKED, "a block page of Amazon CloudFront", "rules of Amazon"),
    "Imperva": Animal("page/imperva", BLOCKED, "a block page of Imperva", "rules of Imperva"),
    "ngrok": Animal("page/ngrok", _C.NOT_FOUND_404, "the error page of ngrok", "Start the tunnel again"),
    "nginx": Animal(
        "page/nginx-502", _C.BAD_GATEWAY_502, "an HTML page (“502 Bad Gateway”)", "the application"
    ),
    # delivered
    "a login that says 200": Animal("page/login-200", None, "a login page", "retry this delivery by hand"),
    "a block that says 200": Animal(
        "page/f5", None, "a block page of F5 (“Request Rejected”)", "rules of F5"
    ),
    "ok": Animal("ok", None, "It answered 200 in ", None),
    "trailers": Animal("trailers", None, "on attempt 1, ", None),
    "flood": Animal("flood", None, "after the event was accepted", None),
}
NOT_PRODUCED = {_C.PROXY_ERROR}
NEXT = re.compile(
    r"Attempt 2 of 6 (on \d+ \w+ \d{4} )?at \d\d:\d\d:\d\d UTC \(in .+\),"
    r" the last one (on \d+ \w+ \d{4} )?at about \d\d:\d\d UTC"
)


@pytest.mark.parametrize("name", ANIMALS)
async def test_every_animal_is_explained(desk: Desk, name: str) -> None:
    animal = ANIMALS[name]
    to = await desk.node.integration(animal.url_in(desk.zoo), secret=SECRET, **animal.settings)

    told = await desk.attempted(to)

    assert told["Class"] == animal.failure
    assert animal.seen in told["Evidence"]
    assert (animal.fix or "") in (told["Fix"] or "")
    assert (told["Fix"] is None, told["Cause"] is None) == (animal.fix is None, animal.fix is None)
    if animal.failure is None:
        assert (told["Title"], told["Next"][:24]) == ("Delivered", "Nothing: it is delivered")
    else:
        assert told["Title"].lower() == f"not delivered yet: {FAILURES[animal.failure].title}".lower()
        assert NEXT.fullmatch(told["Next"])


def test_every_class_that_a_receiver_can_produce_has_its_animal() -> None:
    assert {animal.failure for animal in ANIMALS.values()} - {None} == set(FailureClass) - NOT_PRODUCED


async def test_a_test_send_is_explained_at_once(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.tls_url("expired"))
    path = f"{to.business_id}/integrations/{ids.public(ids.INTEGRATION, to.integration_id)}/test"

    sent = await desk.post(path, {"EventType": "call.failed"})

    assert sent["Explanation"]["Title"] == "The test failed: the certificate has expired"
    assert "expired on 3 May 2020" in sent["Explanation"]["Evidence"]
    assert sent["Explanation"]["Next"] == "Tests are not retried: send another one when you like"
    read = await desk.get(f"{to.business_id}/deliveries/{sent['DeliveryId']}")
    assert read["Explanation"] == sent["Explanation"]


async def test_a_test_that_only_met_a_login_page_is_not_to_be_retried(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.url("page/login-200"))
    path = f"{to.business_id}/integrations/{ids.public(ids.INTEGRATION, to.integration_id)}/test"

    told = (await desk.post(path, {"EventType": "call.failed"}))["Explanation"]

    assert "does not look like a handler's" in told["Cause"]
    assert "take its path out of the sign-in" in told["Fix"]
    assert "by hand" not in told["Fix"]


# ---------------------------------------------------------------- every state


async def test_a_run_of_failures_counts_them_and_names_the_others(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.script("several", 503, 500, 500), retry_schedule=(1, 1, 3600))

    told = await desk.attempted(to, 3)

    assert re.match(
        r"It answered 500, 2 times, the last time at [\d:]+ UTC\. Other attempts: status 503 \(once\)$",
        told["Evidence"],
    )
    assert re.match(r"Attempt 4 of 4 .+ UTC \(in .+\), the last one$", told["Next"])


async def test_delivered_after_failures(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.script("late", 500, 200), retry_schedule=(1,))

    told = await desk.attempted(to, 2)

    assert (told["Class"], told["Title"], told["Cause"], told["Fix"]) == (None, "Delivered", None, None)
    assert re.search(r"on attempt 2, \d+\.?\d* s after the event was accepted", told["Evidence"])
    assert told["Evidence"].endswith("Other attempts: status 500 (once)")


async def test_dead_and_then_retried_by_hand(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.script("over", 500), retry_schedule=(1,))

    told = await desk.attempted(to, 2)

    assert told["Title"] == "Not delivered: the receiver failed"
    assert re.match(r"No further attempt: the last of 2 failed at [\d:]+ UTC; retry it by hand", told["Next"])
    desk.zoo.script("over", 200)
    await desk.post(f"{to.business_id}/deliveries/{(await desk.delivery(to))['Id']}/retry")
    await desk.node.watch.until(lambda: len(desk.node.watch.results) == 3)
    told = (await desk.delivery(to))["Explanation"]
    assert (told["Class"], told["Title"]) == (None, "Delivered")
    assert "on attempt 3, sent by hand, " in told["Evidence"]


async def test_under_way(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.url("gate/explained"))

    await desk.node.publish(to)
    await asyncio.to_thread(desk.zoo.wait_for, 1, "gate/explained")
    told = (await desk.delivery(to))["Explanation"]
    desk.zoo.open_gate("explained")

    assert (told["Class"], told["Title"]) == (None, "Being sent now")
    assert told["Evidence"].startswith("Attempt 1 is under way to 127.0.0.1 (due at ")
    assert told["Next"].startswith(
        "Attempt 1 of 6 is under way: its outcome is known within 5.0 s; if it fails, "
    )


async def test_waiting_for_a_slot(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.url("gate/slot"), max_concurrency=1)

    await desk.node.publish(to, "evt_first")
    await desk.node.publish(to, "evt_second")
    told = (await desk.delivery(to))["Explanation"]
    desk.zoo.open_gate("slot")

    assert (told["Class"], told["Title"]) == (None, "Waiting for its first attempt")
    assert "takes at most 1 at once" in told["Evidence"]
    assert told["Next"].startswith("Attempt 1 of 6 as soon as its turn comes (due since ")


@pytest.mark.parametrize(
    ("state", "verb"), [(IntegrationState.PAUSED, "resume"), (IntegrationState.DISABLED, "enable")]
)
async def test_held(desk: Desk, state: IntegrationState, verb: str) -> None:
    to = await desk.node.integration(desk.zoo.url("status/500"))
    await desk.attempted(to)
    await desk.node.set_state(to, state)

    told = (await desk.delivery(to))["Explanation"]

    assert (told["Class"], told["Title"]) == (_C.SERVER_500, f"Held: the integration is {state}")
    assert re.search(rf"is {state} since [\d:]+ UTC, .+ ago\. Before that: It answered 500", told["Evidence"])
    assert told["Fix"].endswith(f"/{ids.public(ids.INTEGRATION, to.integration_id)}/{verb}")
    assert told["Next"].startswith(
        f"Nothing is sent while the integration is {state}. Once it is {verb}d: attempt 2"
    )


async def test_held_because_the_endpoint_is_gone(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.url("status/410"), profile=Profile.STANDARD)
    await desk.attempted(to)
    await desk.node.watch.until(lambda: to.integration_id not in desk.node.live.current.open)

    told = (await desk.delivery(to))["Explanation"]

    assert told["Class"] == _C.GONE_410
    assert "the endpoint answered 410 Gone" in told["Evidence"]
    assert (
        told["Cause"]
        == "The receiver answered 410 Gone, which disables an integration of the standard profile"
    )


async def test_held_because_the_business_is_disabled(desk: Desk) -> None:
    to = await desk.node.integration(desk.zoo.url("status/500"))
    await desk.attempted(to)
    await desk.client.patch(f"/api/v1/business/{to.business_id}", json={"Enabled": False})

    told = (await desk.delivery(to))["Explanation"]

    assert told["Title"] == "Held: the business is disabled"
    assert "operator" in told["Fix"]


async def test_cancelled_by_hand_and_by_deletion(desk: Desk) -> None:
    by_hand, deleted = [await desk.node.integration(desk.zoo.url("status/500")) for _ in range(2)]
    await desk.attempted(by_hand)
    await desk.attempted(deleted)

    await desk.post(f"{by_hand.business_id}/deliveries/{(await desk.delivery(by_hand))['Id']}/cancel")
    await desk.node.delete(deleted)

    first, second = [(await desk.delivery(to))["Explanation"] for to in (by_hand, deleted)]
    assert (first["Title"], second["Title"]) == ("Cancelled by hand", "Cancelled: its integration is deleted")
    assert first["Next"].startswith("No further attempt: it was cancelled; retry it by hand")
    assert second["Next"] == "No further attempt: its integration is deleted, so it cannot be sent again"
    assert "It answered 500" in first["Evidence"]


# ---------------------------------------------------------------- rotation


@pytest.mark.parametrize(
    ("overlap", "cause", "fix"),
    [
        (
            3600,
            "X-Iqra-Signature, which is made with the old one",
            "end the overlap (POST …/secret/rotate/finish",
        ),
        (0, "likely the receiver still verifies with the old one", "Give the receiver the new secret"),
    ],
)
async def test_a_refusal_soon_after_a_rotation_says_so(
    desk: Desk, overlap: int, cause: str, fix: str
) -> None:
    to = await desk.node.integration(desk.zoo.url("status/401"), secret=SECRET)
    before = await desk.attempted(to)
    rotate = f"{to.business_id}/integrations/{ids.public(ids.INTEGRATION, to.integration_id)}/secret/rotate"
    await desk.post(rotate, {"OverlapSeconds": overlap})

    told = await desk.attempted(to)

    assert "secret was changed" not in before["Cause"]
    assert re.match(
        r"The integration's secret was changed .+ before this attempt \([\d:]+ UTC\)", told["Cause"]
    )
    assert cause in told["Cause"]
    assert fix in told["Fix"]
