"""The wheel, not the tree: built, installed beside the locked runtime dependencies alone, and served."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path
from signal import SIGTERM
from zipfile import ZipFile

import httpx
import pytest
from packaging.requirements import Requirement

from ringback.catalog import BUILT_IN

ROOT = Path(__file__).parents[2]
API_KEY = "an-operator-key-of-the-packaging-test"
EVENT_TYPE = "call.started"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment: the wheel, and links to what `runtime.txt` locks; no network."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", f"--python={python}", "install", "--no-index", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    link_runtime(next(environment.glob("lib/python*/site-packages")))
    return python.parent


def link_runtime(site_packages: Path) -> None:
    for requirement in locked("runtime.txt"):
        if requirement.marker is None or requirement.marker.evaluate():
            found = distribution(requirement.name)
            tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
            for top in tops:
                (site_packages / top).symlink_to(Path(str(found.locate_file(top))))


def locked(name: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [
        Requirement(line.removesuffix(" \\")) for line in lines if line and not line.startswith((" ", "#"))
    ]


@pytest.fixture
def server(binaries: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The installed server on a free port, and its address."""
    process = subprocess.Popen(
        [binaries / "ringback", "serve", "--port", "0", "--data", tmp_path / "data"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "RINGBACK_API_KEY": API_KEY, "RINGBACK_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, address_of(process)
    finally:
        process.kill()
        process.wait()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    printed = []
    for line in process.stderr:
        printed.append(line)
        if '"address"' in line:
            return str(json.loads(line)["address"])
    raise AssertionError("the server ended before it was ready:\n" + "".join(printed))


def test_the_wheel_has_everything_but_code(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()

    assert "ringback/py.typed" in names
    assert any(name.startswith("ringback/store/migrations/sqlite/0001") for name in names)
    assert not [name for name in names if name.startswith("tests")]


def test_the_installed_command_is_the_wheels(binaries: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [binaries / "ringback", "--version"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    where = subprocess.run(
        [binaries / "python", "-c", "import ringback; print(ringback.__file__)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    assert shown.stdout == f"ringback {version('ringback')}\n"
    assert Path(where.stdout).is_relative_to(binaries.parent)


def test_the_installed_server_accepts_an_event(server: tuple[subprocess.Popen[str], str]) -> None:
    process, address = server
    with httpx.Client(base_url=address, headers={"Authorization": f"Token {API_KEY}"}) as client:
        ready = client.get("/health/ready")
        business = client.post("/api/v1/business", json={"Name": "Acme"}).json()["Data"]["BusinessId"]
        accepted = client.post(
            f"/api/v1/business/{business}/events",
            json={"EventType": EVENT_TYPE, "Data": BUILT_IN[EVENT_TYPE].example},
        )
    process.send_signal(SIGTERM)

    assert ready.status_code == 200
    assert accepted.status_code == 202
    assert accepted.json()["Data"]["Duplicate"] is False
    assert process.wait() == 0


def test_the_lock_has_what_the_package_asks_for() -> None:
    versions = {one.name: next(iter(one.specifier)).version for one in locked("runtime.txt")}

    for name, asked in dependencies().items():
        assert asked.specifier.contains(versions[name])


def test_the_package_asks_for_what_it_imports() -> None:
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")]
    imported = {name for source in sources for name in imports(source)} - sys.stdlib_module_names
    providers = packages_distributions()

    undeclared = {
        name for name in imported - {"ringback"} if not {*map(plain, providers[name])} & set(dependencies())
    }

    assert undeclared == set()


def dependencies() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {one.name: one for one in map(Requirement, project["dependencies"])}


def imports(source: ast.Module) -> Iterator[str]:
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def plain(distribution_name: str) -> str:
    return distribution_name.lower().replace("_", "-")


@pytest.mark.parametrize("name", ["build.txt", "dev.txt", "runtime.txt"])
def test_locks_have_hashes_and_name_no_place(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()

    assert all(str(requirement.specifier).startswith("==") for requirement in locked(name))
    assert text.count(" \\\n    --hash=sha256:") >= len(locked(name))
    assert "://" not in text
    assert str(Path.home()) not in text
