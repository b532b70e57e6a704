"""What a start finds or makes: the data directory, a key to begin with, a way in for the first owner."""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from ringback import ids
from ringback.apikeys import RANDOM_BYTES, digest_of, new_key, stored_key
from ringback.errors import ConfigurationError
from ringback.model import Scope
from ringback.people import TOKEN_BYTES, new_token, session_digest
from ringback.store.port import Change, Store
from ringback.store.walk import LIMIT, walk

log = structlog.get_logger("ringback")


def make_data_directory(path: Path) -> None:
    """Nobody else's to read. Raises ConfigurationError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"the data directory {path} cannot be made: {error.strerror}") from None


async def ensure_operator_key(store: Store, api_key: str | None) -> None:
    """On a first start the key that was given, or one made and shown once; later ones keep what is there."""
    keys = walk(lambda before: store.list_keys(LIMIT, before))
    operators = [key async for key in keys if Scope.OPERATOR in key.scopes]
    if not operators:
        await _create_operator_key(store, api_key or _shown_once())
    elif api_key is not None and digest_of(api_key.encode()) not in {key.digest for key in operators}:
        log.warning(
            "RINGBACK_API_KEY is not an operator's key of this database: it is only taken on a first start; "
            "make another with `ringback keys create --scope operator`"
        )


def _shown_once() -> str:
    key = new_key(secrets.token_bytes(RANDOM_BYTES))
    print(f"The operator's API key, shown this once: {key}", flush=True)
    return key


async def _create_operator_key(store: Store, key: str) -> None:
    now = store.now()
    await store.create_key(
        stored_key(key, "operator", [Scope.OPERATOR], (), now, secrets.randbits(ids.COUNTER_BITS)),
        Change(actor="system", action="key.create", at=now),
    )


async def welcome_first_owner(store: Store, base_url: str) -> None:
    """While nobody has an account, each start prints a link of its own; none but the newest works, once."""
    token = new_token(secrets.token_bytes(TOKEN_BYTES))
    if await store.renew_welcome(session_digest(token)):
        # After `#`: browsers keep it from servers, proxies and their logs.
        link = f"{base_url}/welcome#token={token.decode()}"
        print(f"Nobody has an account yet. Make the first owner's, with this link, once: {link}", flush=True)
