"""What the benchmark command refuses, before it measures anything."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import app

WRONG = {
    "no such stage": (["nosuch"], "no stage nosuch of full size: choose from second_moments"),
    "no such size of it": (["--quick", "whole_run"], "no stage whole_run of quick size"),
    "nowhere to write": (["update", "--out", "nowhere/found.json"], "there is no folder nowhere"),
}


@pytest.mark.parametrize(("words", "told"), WRONG.values(), ids=WRONG)
def test_wrong_words_get_one_line_and_code_2(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert ended.value.code == 2
    printed = "".join(capsys.readouterr())
    assert told in printed.replace("\n", " ")
    assert "Traceback" not in printed
