"""The benchmark command rejects invalid arguments before it measures anything."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import app

WRONG = {
    "unknown stage": (["nosuch"], "nosuch"),
    "stage without this size": (["--quick", "whole_run"], "whole_run of size quick"),
    "missing output folder": (["update", "--out", "nowhere/found.json"], "nowhere"),
}


@pytest.mark.parametrize(("arguments", "word"), WRONG.values(), ids=WRONG)
def test_invalid_arguments_exit_with_one_line_and_code_2(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    assert ended.value.code == 2
    printed = "".join(capsys.readouterr())
    assert word in printed.replace("\n", " ")
    assert "Traceback" not in printed
