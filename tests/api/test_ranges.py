"""Parts of a file that are asked for: what is sent is what RFC 9110 says, whatever is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.api.export_downloads import span_of

ETAG = '"abc"'


@given(st.text(max_size=40), st.integers(1, 10**12))
def test_whatever_is_asked_lies_within(asked: str, length: int) -> None:
    span = span_of(asked, None, ETAG, length)
    assert span is None or 0 <= span[0] < span[1] <= length


@given(st.integers(1, 10**12), st.data())
def test_what_was_broken_off_goes_on_to_the_end(length: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, length - 1))
    assert span_of(f"bytes={at}-", ETAG, ETAG, length) == (at, length)
    assert span_of(f"bytes={at}-", '"another"', ETAG, length) == (0, length)
    assert span_of(f"bytes=-{length - at}", None, ETAG, length) == (at, length)
    last = data.draw(st.integers(at, 2 * length))
    assert span_of(f"bytes={at}-{last}", None, ETAG, length) == (at, min(last + 1, length))


@pytest.mark.parametrize("asked", ["", "bytes=-", "bytes=5-3", "bytes=0-1,4-5", "pieces=1-2", "bytes=a-b"])
def test_what_is_no_single_range_is_answered_with_the_whole(asked: str) -> None:
    assert span_of(asked, None, ETAG, 10) == (0, 10)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_what_lies_beyond_the_end_is_refused(asked: str) -> None:
    assert span_of(asked, None, ETAG, 10) is None
