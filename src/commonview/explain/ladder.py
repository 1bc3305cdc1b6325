"""An exchange as a ladder between device and platform: one line a message, with its time and its gist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from commonview.explain.canvas import Canvas, fit, printable, width
from commonview.explain.documents import read_manscdp, read_sdp
from commonview.wire.charset import decode_text
from commonview.wire.sip import SipRequest, SipResponse

if TYPE_CHECKING:
    from commonview.explain.model import Address, Exchange, MediaFlow, Sighting
    from commonview.explain.words import Words

_TIME_COLUMNS: Final = 11
_BEIJING: Final = timezone(timedelta(hours=8))
MAX_BODY_CHARS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class LadderStyle:
    """How a ladder is drawn: with line characters or in plain ASCII; bodies in full or not at all."""

    ascii: bool = False
    bodies: bool = False
    max_lines: int = 0
    """0 for no limit; else the middle is left out."""


@dataclass(frozen=True, slots=True)
class _Row:
    at: float
    to_right: bool
    label: str
    note: str
    colour: str = ""
    media: bool = False
    body: str = ""
    plain: bool = False


def ladder(exchange: Exchange, words: Words, canvas: Canvas, style: LadderStyle) -> list[str]:
    """The lines of a ladder, as wide as the canvas."""
    rows = [_message(one, exchange, words, style) for one in exchange.messages]
    rows += [_flow(flow, exchange, words) for flow in exchange.flows]
    for fact in exchange.facts:
        text = words.say(
            f"fact.{fact.word}", {key: printable(str(each)) for key, each in fact.params.items()}
        )
        rows.append(_Row(fact.at, True, text, "", "cyan", plain=True))
    rows.sort(key=lambda row: row.at)
    notes = min(max((width(row.note) for row in rows), default=0), max(6, canvas.columns // 4))
    span = max(20, canvas.columns - _TIME_COLUMNS - notes - 3)
    lines = _heading(exchange, words, canvas, span)
    drawn = [line for row in rows for line in _draw(row, exchange.started_at, canvas, style, span, notes)]
    if style.max_lines and len(drawn) > style.max_lines:
        half = style.max_lines // 2
        left_out = len(drawn) - 2 * half
        drawn = [
            *drawn[:half],
            f"{'':{_TIME_COLUMNS}} ⋮ {left_out}" if not style.ascii else f"   : {left_out}",
            *drawn[-half:],
        ]
    return lines + drawn


def _heading(exchange: Exchange, words: Words, canvas: Canvas, span: int) -> list[str]:
    left = f"{words.say('page.ladder_device')} {address(exchange.device)}"
    right = f"{words.say('page.ladder_platform')} {address(exchange.platform)}"
    gap = span + 2 - width(left) - width(right)
    text = left + " " * gap + right if gap > 1 else fit(f"{left} | {right}", span + 2).rstrip()
    return [" " * _TIME_COLUMNS + canvas.paint(text, "dim")]


def _draw(row: _Row, begin: float, canvas: Canvas, style: LadderStyle, span: int, notes: int) -> list[str]:
    bar, dash = ("|", "=" if row.media else "-") if style.ascii else ("│", "═" if row.media else "─")
    head, tail = (">", "<") if style.ascii else ("▶", "◀")
    label = fit(row.label, min(width(row.label), span - 6))
    lead = 2
    room = span - width(label) - 2 - lead
    if row.plain:
        arrow = " " * lead + label + " " * max(0, span - lead - width(label))
    elif row.to_right:
        arrow = dash * lead + f" {label} " + dash * max(0, room - 1) + head
    else:
        arrow = tail + dash * (lead - 1) + f" {label} " + dash * max(0, room)
    time = fit(elapsed(row.at - begin), _TIME_COLUMNS)
    styles = (row.colour,) if row.colour else ()
    line = canvas.paint(time, "dim") + bar + canvas.paint(arrow, *styles) + bar
    lines = [f"{line} {canvas.paint(fit(row.note, notes).rstrip(), 'dim')}".rstrip()]
    indent = " " * (_TIME_COLUMNS + 4)
    return lines + [indent + canvas.paint(each, "dim") for each in row.body.splitlines()]


def elapsed(seconds: float) -> str:
    """``+0.250 s``; minutes and hours once there are any."""
    if seconds < 60:
        return f"+{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02d}:{rest:02d}" if hours else f"+{minutes}:{rest:02d}"


def clock(at: float, *, date: bool = False) -> str:
    """Time of day in Beijing time, which GB/T 28181 uses throughout (9.10.3)."""
    try:
        moment = datetime.fromtimestamp(at, UTC).astimezone(_BEIJING)
    except (OverflowError, ValueError, OSError):
        return "?"
    return moment.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def address(place: Address) -> str:
    """``host:port``."""
    return f"[{place[0]}]:{place[1]}" if ":" in place[0] else f"{place[0]}:{place[1]}"


def _message(sighting: Sighting, exchange: Exchange, words: Words, style: LadderStyle) -> _Row:
    to_right = sighting.source == exchange.device or (
        sighting.target == exchange.platform and sighting.source != exchange.platform
    )
    notes = [f"#{sighting.number}"]
    expected = exchange.platform if to_right else exchange.device
    if sighting.target != expected:
        notes.append(f"→ {address(sighting.target)}" if not style.ascii else f"-> {address(sighting.target)}")
    if sighting.copies > 1:
        values = {"count": sighting.copies, "time": clock(sighting.until)}
        notes.append(words.say("page.ladder_copies", values))
    colour = ""
    if isinstance(sighting.message, SipResponse):
        status = sighting.message.status
        colour = (
            "red" if status >= 400 and status not in (401, 407) else "yellow" if status >= 300 else "green"
        )
    body = full_text(sighting) if style.bodies else ""
    return _Row(sighting.at, to_right, gist(sighting, words), "  ".join(notes), colour, body=body)


def _flow(flow: MediaFlow, exchange: Exchange, words: Words) -> _Row:
    to_right = flow.source[0] != exchange.platform[0]
    return _Row(
        flow.first_at, to_right, flow_text(flow, words), f"→ {address(flow.target)}", "cyan", media=True
    )


def flow_text(flow: MediaFlow, words: Words) -> str:
    """One line about a media stream."""
    content = flow.content.upper()
    if not content:
        kind = flow.payload_types[0] if flow.payload_types else "?"
        content = words.say("page.content_unknown", {"payload_type": kind})
    values = {
        "packets": flow.packets,
        "kbps": flow.bitrate_kbps,
        "loss": flow.loss_percent,
        "ssrc": f"{flow.ssrc:010d}",
        "content": content,
    }
    return words.say("page.media_flow", values)


def full_text(sighting: Sighting) -> str:
    """The whole message as text, redacted as it was kept; cut beyond a page."""
    text = decode_text(sighting.raw)[0][:MAX_BODY_CHARS]
    return "\n".join(printable(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


def gist(sighting: Sighting, words: Words) -> str:
    """A message in some words: method and business, or status and what it answers."""
    message = sighting.message
    if message is None:
        return words.say("page.ladder_unreadable", {"fault": printable(sighting.fault[:60])})
    if isinstance(message, SipResponse):
        cseq = message.headers.get("CSeq") or ""
        method = cseq.partition(" ")[2][:16]
        about = f" ({method})" if method and method != "MESSAGE" else ""
        sdp = _sdp_gist(sighting)
        return printable(f"{message.status} {message.reason[:40]}{about}{sdp}")
    return printable(message.method + _request_gist(sighting, message))


def _request_gist(sighting: Sighting, message: SipRequest) -> str:
    headers = message.headers.first
    if message.method == "REGISTER":
        expires = headers.get("Expires", "")[:9]
        proof = ", Authorization" if "Authorization" in headers else ""
        return f" Expires {expires or '?'}{proof}"
    if message.method in ("MESSAGE", "NOTIFY", "SUBSCRIBE") and message.body:
        document = read_manscdp(message.body)
        if document is not None:
            items = f", {len(document.items)}/{document.promised}" if document.promised is not None else ""
            result = f", {document.result[:12]}" if document.result else ""
            return f" {document.cmd_type[:32]} {document.root} SN {document.sn[:20]}{items}{result}"
    if message.method == "INVITE":
        return _sdp_gist(sighting)
    if message.method == "INFO" and message.body:
        return " " + message.body.split(b"\r\n")[0].decode("ascii", "replace")[:40]
    if message.method == "SUBSCRIBE":
        return f" {headers.get('Event', '')[:32]} Expires {headers.get('Expires', '?')[:9]}"
    return ""


def _sdp_gist(sighting: Sighting) -> str:
    sdp = read_sdp(sighting)
    if sdp is None:
        return ""
    transport = "TCP" if "TCP" in sdp.transport.value else "UDP"
    words = [sdp.session_name[:12], f"{sdp.address}:{sdp.port}", transport, sdp.setup or ""]
    words.append(f"y={sdp.ssrc_text[:20]}" if sdp.ssrc_text else "")
    return " " + " ".join(word for word in words if word)
