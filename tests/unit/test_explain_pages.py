"""Pages for people are told from answers of handlers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.explain.pages import EXCERPT, PageKind, excerpt, is_login, page_of

TEXT_HTML = (("Content-Type", "text/html"),)
CLOUDFLARE = (("Server", "cloudflare"), ("CF-RAY", "8f2a"))


@pytest.mark.parametrize(
    "body", [b"", b"OK", b"<b>ok</b>", b'{"ok":true}', b"captcha and login are words too"]
)
def test_a_handler_s_answer_is_no_page_whatever_its_type(body: bytes) -> None:
    assert page_of(200, TEXT_HTML, body) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><title>Log in</title></html>", PageKind.LOGIN),
        (b"<!doctype HTML><input TYPE='password'>", PageKind.LOGIN),
        (b"<html><form>Please sign in</form></html>", PageKind.LOGIN),
        (b"<html>You can sign in at the top</html>", PageKind.OTHER),
        (b"<html>Verify you are human</html>", PageKind.CAPTCHA),
        (b"<html><title>It works!</title></html>", PageKind.OTHER),
    ],
)
@pytest.mark.parametrize("status", [200, 302, 403, 503])
def test_the_kinds_of_pages(body: bytes, kind: PageKind, status: int) -> None:
    page = page_of(status, (), body)

    assert page is not None
    assert page.kind is kind


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (522, "an error page of Cloudflare (no connection to the receiver in time, Ray ID 8f2a)"),
        (526, "an error page of Cloudflare (the receiver's certificate is not valid, Ray ID 8f2a)"),
    ],
)
def test_cloudflare_s_own_statuses_are_put_in_words(status: int, words: str) -> None:
    page = page_of(status, CLOUDFLARE, b"")

    assert page is not None
    assert page.words == words


def test_what_only_passed_through_a_service_is_not_its_own() -> None:
    assert page_of(500, CLOUDFLARE, b'{"error":"mine"}') is None
    assert page_of(500, (), b"modsecurity is off; err_ngrok_ too") is None
    assert page_of(200, (("Server", "awselb/2.0"),), b"ok") is None


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/login", True),
        ("https://acme.com/users/sign_in?next=/", True),
        ("https://accounts.google.com/o/x", True),
        ("https://acme.okta.com/app", True),
        ("https://sso.acme.com/", True),
        ("/hooks", False),
        ("/authors/7", False),
        ("/blogin", False),
    ],
)
def test_redirects_to_a_login(target: str, found: bool) -> None:
    assert is_login(target) is found


@pytest.mark.parametrize(
    ("headers", "body", "shown"),
    [
        ((("Content-Type", "application/json"),), b'{"a":\n 1}', '{"a": 1}'),
        ((("content-type", "text/plain"),), b"no\x00\x1b[31m way", "no [31m way"),
        ((("Content-Type", "image/png"),), b"PNG", None),
        ((), b"\xff\xfe\x00", None),
        ((), b"plain", "plain"),
        ((), b"  \n", None),
        ((), b"x" * 500, "x" * (EXCERPT - 1) + "…"),
    ],
)
def test_excerpts_are_of_texts_and_short(
    headers: tuple[tuple[str, str], ...], body: bytes, shown: str | None
) -> None:
    assert excerpt(headers, body) == shown


@given(
    st.integers(100, 999),
    st.lists(
        st.tuples(st.sampled_from(["server", "cf-ray", "Content-Type", "x-amzn-waf-action"]), st.text())
    ),
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: f"<html><title>{text}".encode(errors="replace")),
)
def test_any_answer_is_a_page_or_none(status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    page = page_of(status, headers, body)

    assert page is None or (page.words.isprintable() and len(page.words) < 300)
