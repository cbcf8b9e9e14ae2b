"""No version with a known hole is allowed by the package, tested with, or put into the image."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FLOORS = {
    "starlette": "1.0.1",  # a Host header decided which path was seen; a Range header kept it busy (CVE-2025-62727)
    "jinja2": "3.1.6",  # a way out of the sandbox (CVE-2025-27516)
    "transformers": "5.3.0",  # code of a model ran without trust_remote_code (CVE-2026-4372)
    "torch": "2.10",  # a pickle ran code under weights_only (CVE-2026-24747)
    "h11": "0.16.0",  # a chunk's end was not looked at (CVE-2025-43859)
}
PINNED = {
    "constraints.txt": FLOORS.keys(),
    "deploy/requirements.lock": {"starlette", "jinja2"},
    "deploy/build.lock": set(),
}
"""What each file has at least; of the others it may have none, but no older ones."""


def lower_bound(requirement: Requirement) -> Version:
    return max(Version(each.version) for each in requirement.specifier if each.operator in (">=", "=="))


@pytest.mark.parametrize("place", ["base", "transformers", "convert"])
def test_the_package_asks_for_none(place: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] if place == "base" else project["optional-dependencies"][place]
    asked = {canonicalize_name(each.name): each for each in map(Requirement, texts)}
    assert asked.keys() >= ({"starlette", "jinja2"} if place == "base" else {"transformers", "torch"})
    for name in asked.keys() & FLOORS.keys():
        assert lower_bound(asked[name]) >= Version(FLOORS[name]), asked[name]


@pytest.mark.parametrize("file", PINNED)
def test_no_file_pins_one(file: str) -> None:
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / file).read_text(), re.MULTILINE)
    versions = {canonicalize_name(name): Version(version) for name, version in pins}
    assert versions.keys() >= PINNED[file]
    old = {name: version for name, version in versions.items() if name in FLOORS and version < Version(FLOORS[name])}
    assert not old
