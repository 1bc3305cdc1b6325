"""Which calls stand, on disk, so that a server that was killed ends them with BYE when it is back.

A device whose call nobody ends goes on sending and stays busy: RFC 3261 knows no end of a call by silence.
One line for an INVITE that leaves, one for a call that stands, one for its end; a line is in the page cache
when the call goes on, which a kill of this process does not touch. It holds what ending the call needs (RFC
3261 12.2.1.1, 17.2.1), and nothing that is secret.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from commonview.wire.sip import Dialog
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.message import SipRequest, parse_datagram

if TYPE_CHECKING:
    from pathlib import Path

    from commonview.wire.sip.flow import Flow

log = logging.getLogger(__name__)

_SLACK: Final = 1_000
"""Lines beyond twice the calls that stand, before the file is written anew."""

_MOST: Final = 20_000
_CSEQ_AHEAD: Final = 100_000
"""More requests than one call sees: BYE must count on from what was sent last, which is not written down."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A call of the process before this one: its dialog, or the INVITE it died over."""

    device_id: str
    transport: str
    peer: tuple[str, int]
    call: Dialog | SipRequest

    @property
    def call_id(self) -> str:
        """What every message of the call carries."""
        call = self.call
        return call.call_id if isinstance(call, Dialog) else call.headers.first["Call-ID"]


class CallJournal:
    """The file. A disk that refuses costs the line, which is counted in `unwritten`, never the call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, str] = {}
        self._lines = 0
        self.unwritten = 0

    def load(self) -> list[Leftover]:
        """The calls that stood when the file was written last, which is then begun anew. Damaged lines, as a
        kill leaves them, are passed over."""
        found: dict[str, Leftover] = {}
        try:
            lines = self._path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            log.warning("the journal of calls cannot be read: %s", error)
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                if "ended" in entry:
                    found.pop(entry["ended"], None)
                elif len(found) < _MOST:
                    found[entry["call_id"]] = _leftover(entry)
            except (ValueError, KeyError, TypeError, SipParseError):
                continue
        for call_id, leftover in found.items():
            self._open.setdefault(call_id, _written(leftover))
        self._rewrite()
        return list(found.values())

    def began(self, device_id: str, flow: Flow, call: Dialog | SipRequest) -> None:
        """A call stands; or its INVITE, as it goes out, is about to."""
        left = Leftover(device_id, flow.transport, flow.peer, call)
        line = self._open[left.call_id] = _written(left)
        self._append(line)

    def ended(self, call_id: str) -> None:
        """A call is over; one that never stood is no error."""
        if self._open.pop(call_id, None) is not None:
            self._append(json.dumps({"ended": call_id}))

    def _append(self, line: str) -> None:
        if self._lines > 2 * len(self._open) + _SLACK:
            self._rewrite()
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            self.unwritten += 1
        self._lines += 1

    def _rewrite(self) -> None:
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text("".join(line + "\n" for line in self._open.values()), "utf-8")
            beside.chmod(0o600)
            beside.replace(self._path)
        except OSError:
            self.unwritten += 1
        self._lines = len(self._open)


def _written(left: Leftover) -> str:
    head = {
        "call_id": left.call_id,
        "device_id": left.device_id,
        "transport": left.transport,
        "peer": left.peer,
    }
    if isinstance(left.call, SipRequest):
        return json.dumps({**head, "invite": left.call.encode().decode("latin-1")})
    dialog = left.call
    return json.dumps(
        {
            **head,
            "local": dialog.local,
            "remote": dialog.remote,
            "local_tag": dialog.local_tag,
            "remote_tag": dialog.remote_tag,
            "target": dialog.remote_target,
            "routes": dialog.route_set,
            "cseq": dialog.local_cseq,
        }
    )


def _leftover(entry: dict[str, Any]) -> Leftover:
    host, port = entry["peer"]
    peer = host, int(port)
    if "invite" in entry:
        invite = parse_datagram(entry["invite"].encode("latin-1"))
        if not isinstance(invite, SipRequest):
            raise ValueError("no INVITE")
        return Leftover(entry["device_id"], entry["transport"], peer, invite)
    dialog = Dialog(
        call_id=entry["call_id"],
        local=entry["local"],
        remote=entry["remote"],
        local_tag=entry["local_tag"],
        remote_tag=entry["remote_tag"],
        remote_target=entry["target"],
        peer_host=host,
        route_set=tuple(entry["routes"]),
        local_cseq=int(entry["cseq"]) + _CSEQ_AHEAD,
    )
    return Leftover(entry["device_id"], entry["transport"], peer, dialog)
