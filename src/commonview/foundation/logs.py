"""Log lines for people or for machines, with secrets taken out whoever logged them."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

REDACTED = "[redacted]"

# Also the last part of a longer name: current_password, new_password, session_token.
_NAME = r"(?<![a-z])(?:password|passwd|secret|token|totp|ticket|api[_-]?key)\b"

_SECRETS = [
    # Whole header values: SIP and HTTP credentials, cookies, CSRF tokens.
    re.compile(
        r"(?im)(\b(?:proxy-)?authorization\b[\"']?\s*[:=]\s*|\b(?:set-)?cookie\b[\"']?\s*[:=]\s*|"
        r"\bx-csrf-token\b[\"']?\s*[:=]\s*)[^\r\n]+"
    ),
    # name="value with spaces", "name": "value": up to the closing quote
    re.compile(rf"(?i)({_NAME}[\"']?\s*[:=]\s*(?P<quote>[\"']))(?:\\.|(?!(?P=quote))[^\r\n])+"),
    # name=value, name: value
    re.compile(rf"(?i)({_NAME}[\"']?\s*[:=]\s*)[^\s\"'&,;}}]+"),
    # scheme://user:password@host
    re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+(?=@)"),
]


# What ends a line, moves the cursor or turns the reading direction: C0, DEL, C1 (with NEL), and of Unicode
# the two separators and the bidirectional controls.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """`text` with control characters written out, so that what a stranger sent cannot forge a line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def redact(text: str) -> str:
    """`text` without authorisation headers, cookies, passwords, tokens and media tickets."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


class TextFormatter(logging.Formatter):
    """`2026-01-01T00:00:00.000Z info  commonview.network  message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and indented ones below it when there is a traceback; redacted as a whole."""
        message = one_line(redact(record.getMessage()))
        lines = [f"{_time(record)} {record.levelname.lower():7} {record.name}  {message}"]
        if record.exc_info:
            trace = redact(self.formatException(record.exc_info))
            lines += ["    " + one_line(line) for line in trace.split("\n")]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and error when there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; every value redacted."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(
    level: str = "info", form: Literal["text", "json"] = "text", stream: TextIO | None = None
) -> None:
    """Send the whole process's log to `stream` (default: standard error), replacing earlier set-ups."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # The access log would repeat what the audit log holds, and it would hold addresses with tickets.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    for name in ("uvicorn.error", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
