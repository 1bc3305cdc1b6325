"""Telling what happened between devices and platforms: from messages to stories, with cause and next check.

Knows only the wire: the same room explains a capture file of any platform (`commonview explain`) and what our
own endpoint has recorded.
"""

from commonview.explain.as_json import capture_document, exchange_document
from commonview.explain.canvas import Canvas
from commonview.explain.capture import PcapWriter
from commonview.explain.causes import RULES
from commonview.explain.documents import read_sdp
from commonview.explain.errors import CaptureUnreadable
from commonview.explain.ladder import full_text, gist
from commonview.explain.model import (
    Address,
    Connecting,
    Exchange,
    ExchangeKind,
    Finding,
    Hop,
    MediaFact,
    MediaFlow,
    Outcome,
    Recording,
    Severity,
    Sighting,
    Story,
)
from commonview.explain.reading import Reading, read_capture, read_capture_from
from commonview.explain.redaction import redact
from commonview.explain.report import Report
from commonview.explain.story import tell
from commonview.explain.verdict import Cause, Check
from commonview.explain.words import LANGUAGES, Words

__all__ = [
    "LANGUAGES",
    "RULES",
    "Address",
    "Canvas",
    "CaptureUnreadable",
    "Cause",
    "Check",
    "Connecting",
    "Exchange",
    "ExchangeKind",
    "Finding",
    "Hop",
    "MediaFact",
    "MediaFlow",
    "Outcome",
    "PcapWriter",
    "Reading",
    "Recording",
    "Report",
    "Severity",
    "Sighting",
    "Story",
    "Words",
    "capture_document",
    "exchange_document",
    "full_text",
    "gist",
    "read_capture",
    "read_capture_from",
    "read_sdp",
    "redact",
    "tell",
]
