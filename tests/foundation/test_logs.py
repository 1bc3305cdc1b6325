import io
import json
import logging
from collections.abc import Iterator

import pytest

from commonview.foundation.logs import redact, set_up_logging


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize(
    "text",
    [
        'Authorization: Digest username="34020000001320000001", response="SECRET"',
        "Proxy-Authorization: Basic SECRET",
        "Cookie: commonview_session_abcd1234=SECRET",
        "Set-Cookie: commonview_session_abcd1234=SECRET; HttpOnly",
        "X-CSRF-Token: SECRET",
        "GET /live/abc.mp4?ticket=SECRET HTTP/1.1",
        "password=SECRET",
        '{"password": "SECRET"}',
        "{'totp': 'SECRET'}",
        "http://127.0.0.1:8000/setup#token=SECRET",
        "rtsp://admin:SECRET@192.0.2.1/stream",
        "password='green SECRET 41'",
        '{"password": "it\'s \\"quoted\\" SECRET", "username": "a"}',
        '{"current_password": "green SECRET", "new_password": "SECRET again"}',
        "device_password=SECRET",
        "NEW_PASSWORD: SECRET",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    assert "SECRET" in text
    assert "SECRET" not in redact(text)


def test_what_is_no_secret_stays() -> None:
    text = "device 34020000001320000001 registered from 192.0.2.1:5060 (keep-alive in 60 s)"
    assert redact(text) == text


@pytest.mark.usefixtures("root_logger")
def test_text_lines_are_redacted_even_in_a_traceback() -> None:
    stream = io.StringIO()
    set_up_logging("info", "text", stream)
    try:
        int("password=SECRET")
    except ValueError:
        logging.getLogger("commonview.test").exception("failed with ticket=SECRET")
    assert "commonview.test  failed with ticket=[redacted]" in stream.getvalue()
    assert "SECRET" not in stream.getvalue()


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1b[2K", "\x85", "\u2028", "\u2029", "\u202e", "\x00"]
)
def test_nobody_can_write_a_line_of_their_own_into_the_log(end: str) -> None:
    forged = f"x{end}2026-01-01T00:00:00.000Z error   commonview.security  all is well"
    stream = io.StringIO()
    set_up_logging("info", "text", stream)
    logging.getLogger("commonview.test").warning("internal error in GET /api/%s", forged)
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().removesuffix("\n").isprintable()
    logging.getLogger("commonview.test").error("failed", exc_info=ValueError(forged))
    starts = [line for line in stream.getvalue().splitlines() if line.startswith("20")]
    assert len(starts) == 2


@pytest.mark.usefixtures("root_logger")
def test_json_lines_hold_time_level_logger_and_message() -> None:
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    logging.getLogger("commonview.test").info("共视 %s", "token=SECRET")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "commonview.test", "message": "共视 token=[redacted]"}


@pytest.mark.usefixtures("root_logger")
def test_lines_below_the_level_are_not_logged() -> None:
    stream = io.StringIO()
    set_up_logging("warning", "text", stream)
    logging.getLogger("commonview.test").info("quiet")
    assert stream.getvalue() == ""
