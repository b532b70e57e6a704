"""People at a running server: the one-time link, a session over real HTTP, and the command line beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import Server

PASSWORD = "correct horse battery"
LINK = re.compile(r"(http\S+)/welcome#token=(\S+)")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "server")
    one.start()
    yield one
    if not one.ended:
        one.kill()


def link(server: Server) -> tuple[str, str]:
    """Where the newest link leads, and its token."""
    where, token = LINK.findall(server.log.read_text())[-1]
    return where, token


def made_owner(server: Server) -> tuple[httpx.Client, str]:
    """A browser of the first owner, and its CSRF token."""
    where, token = link(server)
    client = httpx.Client(base_url=where)
    form = {"Token": token, "Email": "ada@example.com", "Password": PASSWORD}
    answer = client.post("/api/v1/session/first", json=form)
    assert answer.status_code == 201, answer.text
    csrf: str = answer.json()["Data"]["CsrfToken"]
    return client, csrf


def users(server: Server, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringback", "users", *arguments, "--data", str(server.folder)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, check=False)


def test_the_printed_link_makes_the_owner_once_and_the_next_start_prints_none(server: Server) -> None:
    client, _ = made_owner(server)
    used = link(server)

    assert client.get("/api/v1/session").json()["Data"]["User"]["Role"] == "owner"
    assert used[0] == server.url
    assert server.drain() == 0
    server.start()
    assert link(server) == used
    form = {"Token": used[1], "Email": "eve@example.com", "Password": PASSWORD}
    assert client.post("/api/v1/session/first", json=form).status_code == 409
    assert client.get("/api/v1/session").status_code == 200


def test_each_start_without_people_prints_a_link_of_its_own(server: Server) -> None:
    _, first = link(server)
    server.drain()
    server.start(RINGBACK_PUBLIC_URL="https://hooks.acme.com")

    where, second = link(server)

    assert where == "https://hooks.acme.com"
    form = {"Token": first, "Email": "ada@example.com", "Password": PASSWORD}
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/api/v1/session/first", json=form).status_code == 401
        made = client.post("/api/v1/session/first", json={**form, "Token": second})
    assert made.status_code == 201
    assert made.headers["set-cookie"].startswith("__Host-ringback_session=")
    assert "Secure" in made.headers["set-cookie"]


def test_the_command_line_lets_people_in_and_keeps_them_out_beside_the_server(server: Server) -> None:
    created = users(
        server, "create", "--email", "bob@example.com", "--role", "owner", "--password-stdin", typed=PASSWORD
    )
    assert created.returncode == 0, created.stderr
    assert users(server, "create", "--email", "eve@example.com", "--role", "viewer").returncode == 0
    form = {"Email": "bob@example.com", "Password": PASSWORD}
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/api/v1/session", json=form).status_code == 200
        assert users(server, "disable", "bob@example.com").returncode == 2
        assert client.get("/api/v1/session").status_code == 200

        users(server, "create", "--email", "ada@example.com", "--role", "owner")
        assert users(server, "disable", "bob@example.com").returncode == 0
        answer = client.get("/api/v1/session")
    assert (answer.status_code, answer.json()["Code"]) == (403, "USER_DISABLED")


def test_nothing_secret_of_people_is_in_the_server_s_output(server: Server) -> None:
    client, csrf = made_owner(server)
    client.post("/api/v1/session", json={"Email": "ada@example.com", "Password": "a wrong password"})
    cookie = client.cookies["ringback_session"]

    said = server.log.read_text()

    for secret in (PASSWORD, "a wrong password", cookie, csrf, "argon2"):
        assert secret not in said


def test_people_publish_by_their_role_with_the_same_proof_as_for_any_change(server: Server) -> None:
    browser, csrf = made_owner(server)
    proof = {"X-CSRF-Token": csrf}
    business = browser.post("/api/v1/business", json={"Name": "Acme"}, headers=proof).json()["Data"]
    path = f"/api/v1/business/{business['BusinessId']}/events"
    event = {"EventType": "call.failed", "Data": {}}

    for spelling in (path, path.replace("business/", "business/%3", 1)):
        assert browser.post(spelling, json=event, headers=proof).status_code == 202
    assert browser.post(path, json=event).json()["Code"] == "PERMISSION_DENIED"
    assert (
        browser.post(path, json=event, headers={**proof, "Origin": "https://evil.example"}).status_code == 403
    )
    wrong_key = {**proof, "Authorization": "Token nobody's"}
    assert browser.post(path, json=event, headers=wrong_key).json()["Code"] == "INVALID_API_KEY"

    viewer = {"Email": "eve@example.com", "Password": PASSWORD, "Role": "viewer"}
    assert browser.post("/api/v1/users", json=viewer, headers=proof).status_code == 201
    with httpx.Client(base_url=server.url) as reader:
        form = {"Email": viewer["Email"], "Password": PASSWORD}
        theirs = reader.post("/api/v1/session", json=form).json()["Data"]["CsrfToken"]
        refused = reader.post(path, json=event, headers={"X-CSRF-Token": theirs})
    assert (refused.status_code, refused.json()["Code"]) == (403, "PERMISSION_DENIED")
    assert len(browser.get(path).json()["Data"]["Items"]) == 2
