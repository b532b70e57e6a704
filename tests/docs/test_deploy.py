"""What deploy/ ships says what the server understands, and leaves it the time that it needs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

from ringback.api.health import router
from ringback.cli.main import exit_of
from ringback.config import MAX_EVENT_BYTES, Settings, load
from ringback.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MIB = 1024 * 1024
DRAIN_SECONDS: int = Settings.model_fields["drain_seconds"].default


def unit(*names: str) -> dict[str, list[str]]:
    """The `[Service]` keys of unit files that systemd reads one after the other."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for line in (DEPLOY / name).read_text().splitlines():
            key, separator, value = line.partition("=")
            if separator and not line.startswith("#"):
                found[key].append(value)
    return found


def settings_in(assignments: list[str]) -> dict[str, str]:
    pairs = [one.split("=", 1) for one in assignments]
    return {name: value for name, value in pairs if name.startswith("RINGBACK_")}


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, in order: what, and its arguments."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


# ---------------------------------------------------------------- systemd


def test_the_unit_gives_the_drain_its_time_and_does_not_repeat_a_wrong_setting() -> None:
    service = unit("ringback.service")
    assert int(service["TimeoutStopSec"][0]) > DRAIN_SECONDS + 10
    assert int(service["RestartPreventExitStatus"][0]) == exit_of(ConfigurationError(""))[0]
    assert service["KillMode"] == ["mixed"]
    assert service["ExecStart"] == ["/opt/ringback/bin/ringback serve"]
    assert service["WorkingDirectory"] == [f"/var/lib/{service['StateDirectory'][0]}"]


def test_the_unit_and_its_configuration_fit_together() -> None:
    service = unit("ringback.service", "ringback.service.d/master-key.conf")
    given = settings_in(service["Environment"])
    assert given.pop("RINGBACK_CONFIG") == "/etc/ringback/ringback.toml"
    credential, source = service["LoadCredential"][0].split(":")
    assert given.pop("RINGBACK_MASTER_KEY_FILE") == f"%d/{credential}"
    assert given == {}
    assert source.startswith("/etc/ringback/")
    settings = load({}, {}, DEPLOY / "ringback.toml")
    assert str(settings.data) == service["WorkingDirectory"][0]


def test_every_command_of_the_how_to_names_the_place_the_unit_does() -> None:
    text = (ROOT / "docs/how-to/run-in-production.md").read_text()
    assert "/opt/ringback/bin/ringback" in text
    assert set(tomllib.loads((DEPLOY / "ringback.toml").read_text())) <= set(Settings.model_fields)


# ---------------------------------------------------------------- the image


def test_the_image_is_built_of_what_it_copies(tmp_path: Path) -> None:
    """The wheel, with nothing beside it but what the build stage has."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from"):
            *sources, target = shlex.split(arguments)
            for source in sources:
                assert source.split("/")[0] in allowed
                copy(ROOT / source, tmp_path / target)
    build = next(rest for name, rest in instructions() if name == "RUN" and "hatchling" in rest)
    command = [sys.executable, *shlex.split(build)[1:-1], str(tmp_path / "wheels")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert len(list((tmp_path / "wheels").glob("ringback-*.whl"))) == 1


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        place = target if target.suffix else target / source.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)


def test_the_image_installs_only_what_is_locked() -> None:
    installs = [part for name, rest in instructions() if name == "RUN" for part in rest.split("&&")]
    for install in (one for one in installs if one.lstrip().startswith("pip")):
        assert "--no-deps" in install
        assert "--require-hashes" in install or "--no-index" in install


def test_the_image_serves_as_nobody_special_and_is_stopped_by_a_drain() -> None:
    found = dict(instructions())
    assert found["USER"] == "ringback"
    assert found["STOPSIGNAL"] == "SIGTERM"
    assert (found["ENTRYPOINT"], found["CMD"]) == ('["ringback"]', '["serve"]')
    settings = load({}, settings_in(shlex.split(found["ENV"])))
    assert str(settings.data) == found["VOLUME"] == found["WORKDIR"]
    assert str(settings.port) == found["EXPOSE"]


def test_the_health_check_asks_for_what_there_is() -> None:
    (check,) = [rest for name, rest in instructions() if name == "HEALTHCHECK"]
    snippet = check.split('"-c", "')[1].rsplit('"', 1)[0]
    compile(snippet, "health check", "exec")
    port, path = re.findall(r"127\.0\.0\.1:(\d+)(/[a-z/]+)", snippet)[0]
    assert port == dict(instructions())["EXPOSE"]
    assert path in {route.path for route in router.routes}  # type: ignore[attr-defined]  # of the base class


# ---------------------------------------------------------------- compose and the proxy


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_composition_gives_the_drain_its_time_and_settings_that_work(compose: Any) -> None:
    ringback = compose["services"]["ringback"]
    assert int(ringback["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS + 10
    given = {name: value.split(":?")[0].replace("${", "") for name, value in ringback["environment"].items()}
    settings = load({}, given)
    (network,) = settings.proxy_networks
    assert str(network) == compose["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert (DEPLOY / ringback["build"]["context"]).resolve() == ROOT
    assert (ROOT / ringback["build"]["dockerfile"]).is_file()
    assert "ports" not in ringback, "only the proxy is reached from outside"


def test_the_proxy_lets_through_what_the_server_takes(compose: Any) -> None:
    caddyfile = (DEPLOY / "Caddyfile").read_text()
    megabytes = int(re.findall(r"max_size (\d+)MB", caddyfile)[0])
    # A batch, and the mebibyte that is read on so that its sender sees the answer.
    assert megabytes * 1_000_000 >= MAX_EVENT_BYTES + MIB
    upstream, port = re.findall(r"reverse_proxy (\w+):(\d+)", caddyfile)[0]
    assert upstream in compose["services"]
    assert port == dict(instructions())["EXPOSE"]
    assert "flush_interval -1" in caddyfile
