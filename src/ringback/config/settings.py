"""What can be set, with its limits; a value that is wrong is never repeated."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

MIN_API_KEY_CHARACTERS = 32
MAX_EVENT_BYTES = 8 * 1024 * 1024
# A hundred years: for ever, in numbers that a clock can still add.
MAX_DAYS = 36_500
MAX_PROCESSES = 64

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://", "postgresql+")


class Settings(BaseModel):
    """One server's settings. Paths are relative to the working directory."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.", min_length=1)
    port: int = Field(default=8400, description="TCP port to listen on; 0 takes a free one.", ge=0, le=65_535)
    data: Path = Field(
        default=Path("ringback-data"),
        description="Directory for the database and the key file; made when missing.",
    )
    database: str | None = Field(
        default=None, description="`sqlite:///path`; without it, `ringback.db` in the data directory."
    )
    processes: int | None = Field(
        default=None,
        description="Operating system processes that share the port and the database.",
        ge=1,
        le=MAX_PROCESSES,
    )
    role: str = Field(default="all", description="What this process does; only `all` works so far.")
    dev: bool = Field(
        default=False,
        description="Development: plain http and loopback receivers are allowed, only loopback is served.",
    )
    public_url: str | None = Field(
        default=None,
        description="How people reach it, `https://hooks.acme.com`: with https the session's cookie is sent "
        "over TLS only, and no page of another origin may call.",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Addresses or networks of the proxies whose `X-Forwarded-For` is believed, after commas; "
        "without it, whoever connects is taken for the client.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="The operator's key on a first start, 32 characters or more. "
        "Without it, one is made and printed once.",
    )
    master_key: SecretStr | None = Field(
        default=None,
        description="Encrypts secrets at rest: base64 of 32 bytes; further ones after commas only open. "
        "Without it, a key file is made in the data directory.",
    )
    master_key_file: Path | None = Field(
        default=None,
        description="File that has the master key, in place of `master.key` in the data directory; "
        "never made by the server.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities to trust when sending, in place of the built-in ones.",
    )
    max_event_bytes: int = Field(
        default=262_144, description="Largest event accepted, in bytes.", ge=1_024, le=MAX_EVENT_BYTES
    )
    window: int = Field(default=1_000, description="Attempts in flight at once.", ge=1, le=100_000)
    ingest_queue: int = Field(
        default=20_000,
        description="Events that may wait to be committed; beyond it publishes are answered 503.",
        ge=1_000,
        le=1_000_000,
    )
    drain_seconds: int = Field(
        default=25,
        description="How long a stopping server waits for attempts in flight, in seconds.",
        ge=0,
        le=300,
    )
    payload_days: int = Field(
        default=30,
        description="Days an event's payload is kept after its last delivery has finished.",
        ge=1,
        le=MAX_DAYS,
    )
    attempt_days: int = Field(
        default=90,
        description="Days an event, its deliveries and their attempts are kept after the last has finished; "
        "at least `payload_days`.",
        ge=1,
        le=MAX_DAYS,
        validate_default=True,
    )
    hold_days: int = Field(
        default=30,
        description="Days a delivery of a paused or disabled integration is held; then it is dead.",
        ge=1,
        le=MAX_DAYS,
    )
    audit_days: int = Field(
        default=400, description="Days a line of the audit log is kept.", ge=1, le=MAX_DAYS
    )
    minute_stats_days: int = Field(
        default=8, description="Days the statistics by the minute are kept.", ge=1, le=MAX_DAYS
    )
    hour_stats_days: int = Field(
        default=400, description="Days the statistics by the hour and the day are kept.", ge=1, le=MAX_DAYS
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json`, `console`, or `auto`: console on a terminal, JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe lines that are written."
    )

    @property
    def database_path(self) -> Path:
        if self.database is None:
            return self.data / "ringback.db"
        return Path(self.database.removeprefix(_SQLITE))

    @property
    def master_key_text(self) -> str | None:
        return None if self.master_key is None else self.master_key.get_secret_value()

    @property
    def api_key_text(self) -> str | None:
        return None if self.api_key is None else self.api_key.get_secret_value()

    @property
    def nodes_folder(self) -> Path:
        """Where the processes on this database find one another."""
        return self.database_path.with_name(f"{self.database_path.name}-nodes")

    def logs_are_for_people(self, *, terminal: bool) -> bool:
        """Whether to write them for reading, not as JSON."""
        return self.log_format == "console" or (self.log_format == "auto" and terminal)

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(_networks(self.trusted_proxies or ""))

    def reached_at(self, port: int) -> str:
        """Where a browser finds it: `public_url`, or the address it listens on, at this port."""
        if self.public_url is not None:
            return self.public_url
        host = "localhost" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def key_file(self) -> Path:
        """Where the master key is kept when `master_key` is not set."""
        return self.master_key_file or self.data / "master.key"

    @field_validator("database")
    @classmethod
    def _only_sqlite(cls, database: str | None) -> str | None:
        if database is not None:
            _check_database(database)
        return database

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, url: str | None) -> str | None:
        return None if url is None else _origin(url)

    @field_validator("trusted_proxies")
    @classmethod
    def _only_networks(cls, text: str | None) -> str | None:
        _networks(text or "")
        return text

    @field_validator("processes")
    @classmethod
    def _only_on_linux(cls, processes: int | None) -> int | None:
        if processes not in (None, 1) and not sys.platform.startswith("linux"):
            raise ValueError("more than one process works on Linux only; leave it out")
        return processes

    @field_validator("role")
    @classmethod
    def _all_roles(cls, role: str) -> str:
        if role in ("api", "engine"):
            raise ValueError(f"the role {role} is not available yet; the only one is all")
        if role != "all":
            raise ValueError("no such role; the only one is all")
        return role

    @field_validator("api_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not _is_header_value(key.get_secret_value()):
            raise ValueError("must have visible ASCII characters only")
        if key is not None and len(key) < MIN_API_KEY_CHARACTERS:
            raise ValueError(f"must have {MIN_API_KEY_CHARACTERS} characters or more, has {len(key)}")
        return key

    @field_validator("ca_file", "master_key_file")
    @classmethod
    def _there(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError("there is no such file")
        return file

    @field_validator("master_key_file")
    @classmethod
    def _one_place(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and info.data.get("master_key") is not None:
            raise ValueError("the master key is set already; leave one of the two out")
        return file

    @field_validator("attempt_days")
    @classmethod
    def _not_before_its_payload(cls, days: int, info: ValidationInfo) -> int:
        payload_days = info.data.get("payload_days")
        if payload_days is not None and days < payload_days:
            raise ValueError(f"must be at least payload_days, which is {payload_days}")
        return days

    @model_validator(mode="after")
    def _dev_stays_at_home(self) -> Settings:
        if self.dev and not _is_loopback(self.host):
            raise ValueError(
                "dev allows receivers on private addresses and listens on loopback only; "
                "leave dev out, or set host to 127.0.0.1"
            )
        return self


def _check_database(database: str) -> None:
    if database.startswith(_POSTGRESQL):
        raise ValueError("PostgreSQL is not available yet; use sqlite:///path")
    path = database.removeprefix(_SQLITE)
    if path == database or not path:
        raise ValueError("must be sqlite:///path")
    if path == ":memory:" or "?" in path:
        raise ValueError("must name a file after sqlite:///, without options")


def _origin(url: str) -> str:
    """As browsers write it: lower case, without what follows the host and its port."""
    parts = urlsplit(url)
    whole = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be https://host or http://host, with a port where it is not the usual one")
    if url.lower().removesuffix("/") != whole:
        raise ValueError("must end with the host or its port: nothing may be served below a path")
    usual = ":443" if parts.scheme == "https" else ":80"
    return whole.removesuffix(usual)


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError("must be addresses or networks, after commas: 10.0.0.5, 10.1.0.0/16") from None


def _is_header_value(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
