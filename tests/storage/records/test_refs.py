"""Refs are set by compare-and-set: exactly one of several concurrent writers succeeds."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from editflow.storage.errors import DamagedRecord, RefConflict
from editflow.storage.files import Files
from editflow.storage.records.refs import Refs


class Names(RuleBasedStateMachine):
    """Refs against a dictionary: the same values and versions, and the same refusals."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.refs = Refs(Files(self.folder.name))
        self.model: dict[str, tuple[object, int]] = {}

    @rule(name=st.sampled_from(["current", "queue.0"]), value=st.none() | st.integers(), expect=st.integers(0, 4))
    def move(self, name: str, value: object, expect: int) -> None:
        version = self.model.get(name, (None, 0))[1]
        if expect == version:
            assert self.refs.set(name, value, expect) == version + 1
            self.model[name] = (value, version + 1)
        else:
            with pytest.raises(RefConflict, match=f"version {version}, not {expect}"):
                self.refs.set(name, value, expect)

    @invariant()
    def agrees(self) -> None:
        for name in ("current", "queue.0"):
            assert self.refs.get(name) == self.model.get(name)
        assert self.refs.names() == sorted(self.model)

    def teardown(self) -> None:
        self.folder.cleanup()


TestNames = Names.TestCase
TestNames.settings = settings(deadline=None, max_examples=20, stateful_step_count=15)


def test_concurrent_increments_lose_nothing(tmp_path: Path) -> None:
    """Eight threads add 10 each by read, add, compare-and-set: no increment is lost."""

    def add_ten(_: int) -> int:
        refs, conflicts, done = Refs(Files(tmp_path)), 0, 0
        while done < 10:
            value, version = refs.get("sum") or (0, 0)
            try:
                refs.set("sum", value + 1, version)
                done += 1
            except RefConflict:
                conflicts += 1
        return conflicts

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_ten, range(8)))
    assert Refs(Files(tmp_path)).get("sum") == (80, 80)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../up", "A", ".hidden", "a" * 65, "a b"])
def test_invalid_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ref name"):
        Refs(Files(tmp_path)).set(name, 1, 0)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff"])
def test_the_error_names_a_damaged_file(text: str, tmp_path: Path) -> None:
    refs = Refs(Files(tmp_path))
    refs.set("demo", 1, 0)
    refs.set("demo", 2, 1)
    damaged = tmp_path / "refs/demo/00000002.json"
    damaged.write_text(text, encoding="latin-1")
    with pytest.raises(DamagedRecord, match=f"^{damaged} is damaged; [^\n]+$"):
        refs.get("demo")
    damaged.unlink()
    assert refs.get("demo") == (1, 1)
