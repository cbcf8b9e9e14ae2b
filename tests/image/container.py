"""Starts an image's root as a container engine would, as far as the kernel and util-linux alone go.

Namespaces for mounts, processes, IPC and host name; the root read-only, with /proc, a small /dev and a /tmp in memory;
user, environment and command from the image; no capabilities, no new privileges. The network is this machine's.
What an engine adds and this does not: seccomp, cgroups, a network namespace.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ENTER = r"""
set -eu
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro,nosuid,nodev "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --bind /sys "$ROOT/sys"
mount -o remount,bind,ro "$ROOT/sys"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
for device in null zero random urandom; do
    touch "$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
done
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$ROOT/tmp"
[ -z "$VOLUME" ] || mount --bind "$VOLUME" "$ROOT/$HOME"
hostname container
cd "$ROOT"
pivot_root . mnt
umount -l mnt
cd "$FOLDER"
exec "$@"
"""


@dataclass(frozen=True)
class Container:
    """A container that runs; its first process is the image's command."""

    configuration: Mapping[str, Any]
    process: "subprocess.Popen[bytes]"
    """`unshare`, which waits for the first process and ends with its exit code."""
    environment: Mapping[str, str]
    log: Path

    @property
    def pid(self) -> int:
        """The first process, as this machine counts."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def execute(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, as the image's user: `docker exec`."""
        entered = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--ipc", "--uts", "--root", "--wd"]
        return subprocess.run(
            [*entered, *_as_user(self.configuration, self.environment), *command],
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self, within_s: float) -> int:
        """SIGTERM to the first process, as `docker stop` does; the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(within_s)


@contextmanager
def container(
    root: Path,
    configuration: Mapping[str, Any],
    log: Path,
    command: tuple[str, ...] = (),
    volume: Path | None = None,
    **environment: str,
) -> Iterator[Container]:
    """`docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --network host`.

    `volume` is a folder of this machine, for the image's home.
    """
    variables = {**dict(pair.split("=", 1) for pair in configuration["Env"]), **environment}
    started = (*configuration["Entrypoint"], *(command or configuration["Cmd"]))
    isolated = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*isolated, "sh", "-c", _ENTER, "sh", *_as_user(configuration, variables), *started],
            env={
                "PATH": os.environ["PATH"],
                "ROOT": str(root),
                "FOLDER": configuration["WorkingDir"],
                "HOME": variables["HOME"],
                "VOLUME": str(volume or ""),
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Container(configuration, process, variables, log)
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Any, running: Container, timeout_s: float = 60) -> None:
    """Until `condition()` is true. Raises `RuntimeError` with the log when the container ends or time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"exit code {running.process.poll()}:\n{running.log.read_text()}")
        time.sleep(0.1)


def _as_user(configuration: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    user, _, group = configuration["User"].partition(":")
    nothing = ["--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]
    return [
        "setpriv", f"--reuid={user}", f"--regid={group}", *nothing,
        "env", "--ignore-environment", *(f"{name}={value}" for name, value in environment.items()),
    ]  # fmt: skip
