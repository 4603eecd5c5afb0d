"""Containers for a test, without a service: buildah builds, podman runs, all in the namespaces of one process.

Storage is a tmpfs there, networks are made there, every process lives there. When that one process ends, the kernel
takes everything away.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

BASE = "localhost/base"
PACKAGES = "python3,python3-venv,ca-certificates"
WORK = Path("/var/lib/containers/work")
"""In the namespaces: gone with them, like all that the engine stores."""
LENT = ("/etc/pip.conf", "/etc/ssl/certs")
"""How this machine reaches PyPI: lent to the build, and part of no image."""
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""No higher than what a machine without CAP_SYS_RESOURCE may give."""
NEEDED = {
    "buildah": "buildah",
    "podman": "podman",
    "crun": "crun",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}
"""Programs and Debian's packages that hold them."""

# Mixed cgroups (v1 beside v2) stop crun; without the second hierarchy it takes the first.
ENTER = f"""set -e
for directory in /run /dev/shm /var/lib/containers /var/cache/containers /etc/containers/networks; do
  mkdir -p $directory
  mount -t tmpfs tmpfs $directory
done
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
ip link set lo up
mkdir {WORK}
echo ready
exec cat
"""
ASK = """import http.client, sys
try:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    print(answer.status, answer.read().decode().strip())
except (OSError, http.client.HTTPException) as error:
    print(0, error)
"""


class CommandFailedError(Exception):
    """A command of the engine failed; its words are in the message."""


class Engine:
    """A context manager; see above."""

    def __enter__(self) -> Self:
        words = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", ENTER)
        self._holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self.__exit__()
            raise CommandFailedError("no namespaces of our own; is this root?")
        pid = self._holder.pid
        self._inner = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._holder.stdin, self._holder.stdout):
            assert pipe is not None
            pipe.close()
        self._holder.wait(30)

    def path(self, inside: Path) -> Path:
        """A file of the namespaces, as we can open it."""
        return Path(f"/proc/{self._inner}/root{inside}")

    def run(self, *words: str, net: bool = True, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespaces; `net=False`: with the network of this machine."""
        namespaces = ("--mount", "--pid", "--root", "--wd", *(("--net",) if net else ()))
        enter = ("nsenter", "--target", self._inner, *namespaces, "--", *words)
        done = subprocess.run(enter, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
        if check and done.returncode != 0:
            said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            raise CommandFailedError(f"{' '.join(words)} ended with {done.returncode}:\n{said}")
        return done

    def buildah(self, *words: str) -> str:
        return self.run("buildah", *words, net=False).stdout.strip()

    def podman(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("podman", "--cgroup-manager", "cgroupfs", *words, check=check)  # there is no systemd to ask

    def make_base(self) -> None:
        """Debian with its Python, in the place of a registry's image."""
        target = str(WORK / "base")
        self.run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", target, net=False)
        self.run("sh", "-c", f"rm -rf {target}/var/cache/apt/archives/*.deb {target}/var/lib/apt/lists/*")
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, target, "/")
        self.buildah("commit", "--quiet", "--rm", container, BASE)
        self.run("rm", "-rf", target)

    def build(self, context: Path, dockerfile: Path, tag: str) -> None:
        lent = [word for path in LENT if Path(path).exists() for word in ("--volume", f"{path}:{path}:ro")]
        # Docker's format keeps the health check, OCI's has none. RUNTIME is known to one file only: a mere warning.
        options = ("--isolation", "chroot", "--network", "host", "--format", "docker", *lent)
        bases = ("--build-arg", f"BASE={BASE}", "--build-arg", f"RUNTIME={BASE}")
        self.buildah("build", "--quiet", *options, *bases, "--file", str(dockerfile), "--tag", tag, str(context))

    def image(self, tag: str) -> dict[str, Any]:
        return json.loads(self.podman("image", "inspect", tag).stdout)[0]

    def start(self, name: str, *words: str) -> None:
        """`podman run`. Health checks by timer are systemd's business; `healthy` runs the same words."""
        options = ("--detach", "--no-healthcheck", "--pull", "never", "--name", name, *LIMITS)
        self.podman("run", *options, *words)

    def healthy(self, name: str) -> bool:
        """What the image's own health check says of a container."""
        image = json.loads(self.podman("inspect", name).stdout)[0]["ImageName"]
        kind, *words = self.image(image)["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.podman("exec", name, *words, check=False).returncode == 0

    def stop(self, name: str) -> int:
        """SIGTERM, and after 15 s SIGKILL: the exit code says which."""
        self.podman("stop", "--time", "15", name)
        return self.exit_code(name)

    def remove(self, *names: str) -> None:
        self.podman("rm", "--force", "--volumes", "--time", "0", *names, check=False)

    def exit_code(self, name: str) -> int:
        """Of a container that ends by itself."""
        return int(self.podman("wait", name).stdout)

    def logs(self, name: str) -> str:
        done = self.podman("logs", name, check=False)
        return done.stdout + done.stderr

    def ask(self, port: int) -> str:
        """Status and body of a GET to a published port."""
        return self.run(sys.executable, "-I", "-c", ASK, str(port)).stdout.strip()

    def running(self, name: str) -> bool:
        return json.loads(self.podman("inspect", name).stdout)[0]["State"]["Running"]

    def wait(self, name: str, condition: Callable[[], bool], bound_s: float = 60.0) -> None:
        """Until the condition holds; if the container ends, or at the bound, its log is the message."""
        end = time.monotonic() + bound_s
        while not condition():
            assert self.running(name), f"{name} has ended:\n{self.logs(name)}"
            assert time.monotonic() < end, f"{name}, not within {bound_s} s:\n{self.logs(name)}"
            time.sleep(0.2)
