"""The nine promises of docs/reliability.md in their short form: the bars of `make soak`, but for times and memory."""

from pathlib import Path

import pytest

from tests.soak.promises import PROMISES
from tests.soak.setting import Setting


@pytest.mark.parametrize("name", PROMISES)
def test_a_promise_is_kept(name: str, tmp_path: Path) -> None:
    rows = PROMISES[name].measure(Setting(tmp_path, "short", print))
    assert [row for row in rows if "missed" in row.verdict] == []
    assert any(row.verdict == "met" for row in rows)
