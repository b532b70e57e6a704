"""Settings: which layer wins, what is refused, and that nothing secret is ever repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringback.config import Settings, load
from ringback.errors import ConfigurationError

API_KEY = "k" * 32


def written(directory: Path, text: str) -> Path:
    path = directory / "settings.toml"
    path.write_text(text)
    return path


def refusal(
    flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(flags or {}, environ or {}, file)
    return str(caught.value)


def test_defaults_listen_on_loopback_and_keep_everything_in_one_directory() -> None:
    settings = Settings()

    assert (settings.host, settings.port) == ("127.0.0.1", 8400)
    assert settings.database_path == Path("ringback-data/ringback.db")
    assert settings.key_file == Path("ringback-data/master.key")


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 1001\nwindow = 11\ndrain_seconds = 3")

    settings = load({"port": 3003}, {"RINGBACK_PORT": "2002", "RINGBACK_WINDOW": "22"}, file)

    assert (settings.port, settings.window, settings.drain_seconds) == (3003, 22, 3)


def test_the_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ringback.toml").write_text("port = 1001")

    assert load({}, {}).port == 1001


def test_a_named_file_replaces_the_one_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ringback.toml").write_text("port = 1001")
    named = written(tmp_path, "window = 7")

    assert load({}, {}, named) == load({}, {"RINGBACK_CONFIG": str(named)}) == Settings(window=7)


def test_flags_that_were_not_given_do_not_hide_lower_layers() -> None:
    assert load({"port": None}, {"RINGBACK_PORT": "2002"}).port == 2002


def test_an_empty_variable_counts_as_unset() -> None:
    assert load({}, {"RINGBACK_API_KEY": "", "RINGBACK_PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("database", "path"),
    [("sqlite:///here/ringback.db", "here/ringback.db"), ("sqlite:////var/lib/r.db", "/var/lib/r.db")],
)
def test_a_database_is_a_path_after_three_slashes(database: str, path: str) -> None:
    assert Settings(database=database).database_path == Path(path)


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    file = written(tmp_path, "prot = 1")

    assert refusal(file=file) == f"prot in {file} is no setting; did you mean port?"


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    assert "RINGBACK_DATABSE is no setting; did you mean RINGBACK_DATABASE?" in refusal(
        environ={"RINGBACK_DATABSE": "x"}
    )


def test_variables_of_clients_and_of_others_are_left_alone() -> None:
    environ = {"RINGBACK_URL": "http://127.0.0.1:8400", "RINGBACK_FAILPOINT": "", "RINGBACKWARDS": "1"}

    assert load({}, environ) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("database", "postgresql://user:pw@host/db", "PostgreSQL is not available yet"),
        ("database", "postgres://user:pw@host/db", "PostgreSQL is not available yet"),
        ("database", "mysql://host", "must be sqlite:///path"),
        ("database", "sqlite:///", "must be sqlite:///path"),
        ("database", "sqlite:///:memory:", "must name a file"),
        ("database", "sqlite:///a.db?mode=ro", "must name a file"),
        ("processes", "0", "greater than or equal to 1"),
        ("processes", "65", "less than or equal to 64"),
        ("role", "engine", "the role engine is not available yet"),
        ("role", "everything", "no such role"),
        ("api_key", "short", "must have 32 characters or more, has 5"),
        ("api_key", "k" * 31 + "\n", "visible ASCII characters only"),
        ("port", "-1", "greater than or equal to 0"),
        ("port", "http", "valid integer"),
        ("ca_file", "nowhere.pem", "there is no such file"),
        ("master_key_file", "nowhere.key", "there is no such file"),
        ("log_format", "xml", "'auto', 'json' or 'console'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str, reason: str) -> None:
    message = refusal(environ={f"RINGBACK_{name.upper()}": value})

    assert message.startswith(f"RINGBACK_{name.upper()}: ")
    assert reason in message


def test_an_error_says_where_the_value_was_written(tmp_path: Path) -> None:
    file = written(tmp_path, "window = 0")

    message = refusal(flags={"port": -1}, environ={"RINGBACK_ROLE": "api"}, file=file)

    assert "--port: " in message
    assert "RINGBACK_ROLE: " in message
    assert f"window in {file}: " in message


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.com"])
def test_dev_is_refused_off_loopback(host: str) -> None:
    assert "listens on loopback only" in refusal({"dev": True, "host": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_dev_is_fine_on_loopback(host: str) -> None:
    assert load({"dev": True, "host": host}, {}).dev


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"

    assert f"{missing} cannot be read" in refusal(file=missing)
    assert "is not TOML" in refusal(file=written(tmp_path, "port ="))


def test_the_master_key_has_one_place(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch()
    assert load({}, {"RINGBACK_MASTER_KEY_FILE": str(file)}).key_file == file
    both = {"RINGBACK_MASTER_KEY_FILE": str(file), "RINGBACK_MASTER_KEY": "k" * 44}
    with pytest.raises(ConfigurationError, match="RINGBACK_MASTER_KEY_FILE: the master key is set already"):
        load({}, both)


def test_secrets_appear_in_no_error_and_no_repr() -> None:
    secret = "s3cr3t-" * 5
    settings = load({}, {"RINGBACK_API_KEY": secret, "RINGBACK_MASTER_KEY": secret})

    assert "s3cr3t" not in repr(settings) + str(settings)
    assert "s3cr3t" not in refusal(environ={"RINGBACK_API_KEY": "s3cr3t", "RINGBACK_PORT": "s3cr3t"})
    assert "s3cr3t" not in refusal(environ={"RINGBACK_DATABASE": "postgresql://u:s3cr3t@host/db"})


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://hooks.acme.com", "https://hooks.acme.com"),
        ("https://Hooks.Acme.com/", "https://hooks.acme.com"),
        ("https://hooks.acme.com:443", "https://hooks.acme.com"),
        ("http://hooks.acme.com:80/", "http://hooks.acme.com"),
        ("https://hooks.acme.com:8443", "https://hooks.acme.com:8443"),
        ("http://[::1]:8400", "http://[::1]:8400"),
    ],
)
def test_the_public_address_is_kept_as_browsers_write_an_origin(written: str, origin: str) -> None:
    assert load({}, {"RINGBACK_PUBLIC_URL": written}).public_url == origin


@pytest.mark.parametrize(
    "written",
    [
        "hooks.acme.com",
        "ftp://hooks.acme.com",
        "https://",
        "https://hooks.acme.com/ringback",
        "https://hooks.acme.com/?a=b",
        "https://hooks.acme.com#x",
        "https://me:secret@hooks.acme.com",
        "https://[",
    ],
)
def test_a_public_address_that_is_no_origin_is_refused(written: str) -> None:
    refused = refusal(environ={"RINGBACK_PUBLIC_URL": written})

    assert refused.startswith("RINGBACK_PUBLIC_URL: ")
    assert "secret" not in refused


def test_trusted_proxies_are_addresses_and_networks() -> None:
    settings = load({}, {"RINGBACK_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16,::1"})

    assert [str(network) for network in settings.proxy_networks] == ["10.0.0.5/32", "10.1.0.0/16", "::1/128"]
    assert Settings().proxy_networks == ()
    for wrong in ("proxy.example", "10.0.0.5/8", "10.0.0.0/33"):
        assert "RINGBACK_TRUSTED_PROXIES: must be" in refusal(environ={"RINGBACK_TRUSTED_PROXIES": wrong})


@pytest.mark.parametrize(
    ("settings", "link"),
    [
        (Settings(), "http://127.0.0.1:7"),
        (Settings(host="0.0.0.0"), "http://localhost:7"),
        (Settings(host="::1"), "http://[::1]:7"),
        (Settings(host="0.0.0.0", public_url="https://hooks.acme.com"), "https://hooks.acme.com"),
    ],
    ids=lambda one: getattr(one, "host", None),
)
def test_links_lead_to_where_people_reach_it(settings: Settings, link: str) -> None:
    assert settings.reached_at(7) == link
