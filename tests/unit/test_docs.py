"""Pages that are made from the source are what the source makes of them today."""

from tools import configuration_page


def test_configuration_page() -> None:
    assert configuration_page.PAGE.read_text() == configuration_page.page(), "run: python -m tools.configuration_page"
