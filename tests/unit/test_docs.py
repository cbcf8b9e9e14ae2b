"""Pages that are made from the source are what the source makes of them today."""

from tools import configuration_page, observability_page


def test_configuration_page() -> None:
    assert configuration_page.PAGE.read_text() == configuration_page.page(), "run: python -m tools.configuration_page"


def test_observability_page() -> None:
    assert observability_page.PAGE.read_text() == observability_page.page(), "run: python -m tools.observability_page"
