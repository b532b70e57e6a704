"""What a figure depends on and another machine does not share."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil
import pycurl  # type: ignore[import-untyped]  # ships no types

from tests.bench.setting import Setting

LIBRARIES = (
    "ringback",
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "msgspec",
    "apsw",
    "pycurl",
    "jsonschema-rs",
)


class Conditions(msgspec.Struct, frozen=True):
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    file_system: str
    libraries: dict[str, str]
    libcurl: str
    busy_before: str
    placement: str
    amounts: str

    def lines(self) -> list[tuple[str, str]]:
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        return [
            ("CPU", f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB"),
            ("Kernel", self.kernel),
            ("Python", self.python),
            ("Database on", self.file_system),
            ("Libraries", libraries),
            ("libcurl", self.libcurl),
            ("Others on the machine", self.busy_before),
            ("Cores used", self.placement),
            ("Amounts", self.amounts),
        ]


def conditions(setting: Setting) -> Conditions:
    cores = setting.cores
    return Conditions(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gib=psutil.virtual_memory().total / 2**30,
        kernel=platform.release(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        file_system=_file_system(setting.folder),
        libraries={name: version(name) for name in LIBRARIES},
        libcurl=str(pycurl.version),
        busy_before=f"{psutil.cpu_percent(interval=1.0):.0f} % of all cores, in the second before the run",
        placement=f"server {cores.server}, load {cores.load}, receiver {cores.receiver}",
        amounts=f"{setting.amounts}, {setting.connections} connections",
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _file_system(folder: Path) -> str:
    """`ext4 on /dev/vda`: of the longest mount point that the folder is under."""
    found = max(
        (part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)),
        key=lambda part: len(part.mountpoint),
    )
    return f"{found.fstype} on {found.device}"
