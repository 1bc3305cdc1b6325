"""Charset: the bytes decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.charset import DAMAGED, GB18030, UTF_8, decode_text, encode_text, readable


@pytest.mark.parametrize("text", ["东门", "中心广场 Central Square", "人民公园", "联通", "㐂", "😀"])
@pytest.mark.parametrize(("codec", "name"), [("utf-8", UTF_8), ("gb18030", GB18030)])
def test_chinese_text_is_read_in_either_charset(text: str, codec: str, name: str) -> None:
    assert decode_text(text.encode(codec)) == (text, name)


def test_ascii_is_utf_8() -> None:
    assert decode_text(b"OK") == ("OK", UTF_8)


def test_a_byte_order_mark_is_removed() -> None:
    assert decode_text("\ufeff东".encode()) == ("东", UTF_8)


def test_bytes_of_neither_charset_are_replaced_and_told() -> None:
    text, charset = decode_text(b"A\xff\xffB")
    assert charset is DAMAGED
    assert text.startswith("A\N{REPLACEMENT CHARACTER}")


@given(st.binary())
def test_any_bytes_decode(data: bytes) -> None:
    text, charset = decode_text(data)
    assert charset in {UTF_8, GB18030, DAMAGED}
    assert "\N{REPLACEMENT CHARACTER}" in text or charset is not DAMAGED


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_encoding_falls_to_gb18030_and_says_so(text: str) -> None:
    data, charset = encode_text(text)
    assert data.decode(charset) == text


@given(st.binary(max_size=120), st.integers(1, 80))
def test_header_text_from_any_bytes_can_be_stored_and_shown(data: bytes, limit: int) -> None:
    text = readable(data.decode("utf-8", "surrogateescape"), limit)
    assert len(text) <= limit
    assert text.isprintable() or "\ufffd" in text
    assert text.encode("utf-8").decode("utf-8") == text
