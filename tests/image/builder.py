"""Builds images as a person without Docker would: `make build` and `make inject` by buildah, on a Debian of our own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOOLS = ("buildah", "debootstrap", "make", "nsenter", "unshare")


def check_machine() -> None:
    """Raises `RuntimeError`, which says what is missing."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise RuntimeError(
            f"{', '.join(missing)} missing; on Debian: apt-get install buildah debootstrap make util-linux"
        )
    if os.geteuid() != 0:
        raise RuntimeError("only root can build and start images without a container engine")


class Builder:
    """Images in a storage of their own, which `close` removes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._options = ("--storage-driver", "vfs", "--root", str(folder / "storage"), "--runroot", str(folder / "run"))

    def make_base(self, image: str, packages: str) -> None:
        """A Debian with these packages, from debootstrap."""
        self._run(str(ROOT / "deploy" / "debian-base.sh"), image, packages, *self._options)

    def make(self, target: str, **variables: str) -> None:
        """`make TARGET`, with buildah in Docker's place. HEALTHCHECK is none of OCI's, hence the format."""
        build = " ".join(("buildah", *self._options, "build", "--isolation", "chroot", "--format", "docker", "--quiet"))
        settings = [f"{name}={value}" for name, value in variables.items()]
        self._run("make", "--directory", str(ROOT), "-o", ".venv/dev", target, f"BUILD_IMAGE={build}", *settings)

    def root(self, image: str) -> Path:
        """The image's files, on a folder of this machine."""
        container = self._buildah("from", "--pull-never", image)
        return Path(self._buildah("mount", container))

    def configuration(self, image: str) -> Any:
        """What the image says beside its files, with its history."""
        return json.loads(self._buildah("inspect", "--type", "image", image))["Docker"]

    def close(self) -> None:
        self._buildah("umount", "--all")
        shutil.rmtree(self._folder)

    def _buildah(self, *arguments: str) -> str:
        return self._run("buildah", *self._options, *arguments).strip()

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout
