"""Pages that are made from the source are what the source makes of them today, and what pages name is there."""

import re
from pathlib import Path

import pytest

from tools import configuration_page, observability_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.md"), *ROOT.glob("tools/**/README.md")]
)
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def test_configuration_page() -> None:
    assert configuration_page.PAGE.read_text() == configuration_page.page(), "run: python -m tools.configuration_page"


def test_observability_page() -> None:
    assert observability_page.PAGE.read_text() == observability_page.page(), "run: python -m tools.observability_page"


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives to headings: small letters, hyphens for blanks, and no other signs."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(CODE.sub("", page.read_text())):
        target = page.parent / link["path"] if link["path"] else page
        assert target.exists(), link[0]
        assert link["anchor"] is None or link["anchor"] in anchors(target), link[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_tests_exist(page: Path) -> None:
    for named in re.findall(r"\btests/[\w/]+\.\w+", page.read_text()):
        assert (ROOT / named).exists(), named
