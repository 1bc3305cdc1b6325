import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonview.network.tree.grams import query_of, words_of


@pytest.fixture
def index() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE s USING fts5(grams, content='', columnsize=0, tokenize='ascii')")
    yield db
    db.close()


def found(db: sqlite3.Connection, text: str) -> list[int]:
    return [row[0] for row in db.execute("SELECT rowid FROM s WHERE s MATCH ?", (query_of(text),))]


def put(db: sqlite3.Connection, no: int, *texts: str) -> None:
    db.execute("INSERT INTO s(rowid, grams) VALUES (?, ?)", (no, words_of(*texts)))


NAMES = st.text(alphabet="ab东门 -(é)", min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    names=st.lists(NAMES, min_size=1, max_size=6),
    sought=st.text(alphabet="ab东门 -(é)", min_size=1, max_size=5),
)
def test_exactly_the_names_that_contain_the_text_are_found(names: list[str], sought: str) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE s USING fts5(grams, content='', columnsize=0, tokenize='ascii')")
    for no, name in enumerate(names, 1):
        put(db, no, name)
    assert found(db, sought) == [no for no, name in enumerate(names, 1) if sought in name]
    db.close()


def test_one_and_two_chinese_characters_are_enough_and_letter_case_is_not(index: sqlite3.Connection) -> None:
    put(index, 1, "人民路东门 Dome-7")
    put(index, 2, "西门")
    assert found(index, "东") == [1]
    assert found(index, "门") == [1, 2]
    assert found(index, "路东") == [1]
    assert found(index, "DOME") == [1]


def test_no_text_is_found_across_two_names(index: sqlite3.Connection) -> None:
    put(index, 1, "abc", "def")
    assert found(index, "cd") == []
    assert found(index, "bcd") == []
    assert found(index, "def") == [1]


def test_what_was_indexed_can_be_taken_back(index: sqlite3.Connection) -> None:
    put(index, 1, "东门")
    index.execute("INSERT INTO s(s, rowid, grams) VALUES ('delete', 1, ?)", (words_of("东门"),))
    put(index, 1, "西门")
    assert found(index, "东门") == []
    assert found(index, "西门") == [1]


@pytest.mark.parametrize("text", ["", "x" * 65])
def test_a_search_is_bounded(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        query_of(text)
