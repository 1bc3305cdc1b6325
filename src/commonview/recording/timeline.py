"""The timeline: recorded, gap and event bands of many channels in one answer, merged on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from commonview.foundation.database import stored_time
from commonview.foundation.errors import CommonviewError
from commonview.recording.bands import Span, joined, read_bands
from commonview.recording.model import RecordingInvalid

if TYPE_CHECKING:
    from commonview.foundation.database import Database
    from commonview.network import NetworkService

MOST_CHANNELS: Final = 20_000
MOST_DEVICES_ASKED: Final = 16
MOST_PIXELS: Final = 10_000
_DEVICE_ANSWERS_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Line:
    """The bands of one channel: pairs of microseconds since 1970, in order."""

    channel_id: str
    recorded: Sequence[Span]
    gaps: Sequence[Span]
    events: Sequence[Span]
    device: Sequence[Span]
    open: Sequence[Span] = ()
    """What of the recorded is being written: it grows."""
    device_failure: str | None = None
    """Why the device's own recordings are not there, a stable word."""


@dataclass(frozen=True, slots=True)
class Under:
    """What goes on just now and is in no index yet: kind and span of a channel."""

    channel_id: str
    kind: str
    begin: int
    end: int


class Timeline:
    """Answers from the bands; asks devices only for a few channels, and only when told to."""

    def __init__(self, database: Database, network: NetworkService) -> None:
        self._database = database
        self._network = network

    async def lines(
        self,
        channel_ids: Sequence[str],
        begin: datetime,
        end: datetime,
        pixels: int,
        *,
        under_way: Iterable[Under] = (),
        with_devices: bool = False,
    ) -> list[Line]:
        """The lines of these channels, in their order; empty ones too.

        ``with_devices`` also asks the devices what they have recorded, for at most 16 channels.
        Raises `RecordingInvalid`, `StorageUnavailable`.
        """
        asked = list(dict.fromkeys(channel_ids))
        if not begin < end or not 1 <= pixels <= MOST_PIXELS or len(asked) > MOST_CHANNELS:
            raise RecordingInvalid(
                f"a timeline has a span, 1 to {MOST_PIXELS} pixels and at most {MOST_CHANNELS} channels",
                field="pixels",
            )
        if with_devices and len(asked) > MOST_DEVICES_ASKED:
            raise RecordingInvalid(
                f"at most {MOST_DEVICES_ASKED} channels at a time are asked for their own recordings",
                field="with_devices",
            )
        window = (stored_time(begin), stored_time(end))
        resolution = max(1, (window[1] - window[0]) // pixels)
        found = await asyncio.to_thread(self._read, asked, window, resolution)
        for one in under_way:
            if one.begin < window[1] and one.end > window[0]:
                spans = found.setdefault(one.channel_id, {}).setdefault(one.kind, [])
                spans.append((one.begin, one.end))
                spans[:] = joined(spans, *window, resolution)
        devices: dict[str, tuple[list[Span], str | None]] = {}
        if with_devices:
            answers = await asyncio.gather(*(self._ask(one, begin, end) for one in asked))
            devices = dict(zip(asked, answers, strict=True))
        return [_line(one, found.get(one, {}), devices.get(one), window, resolution) for one in asked]

    def _read(self, asked: Sequence[str], window: Span, resolution: int) -> dict[str, dict[str, list[Span]]]:
        with self._database.read() as conn:
            return read_bands(conn, asked, *window, resolution)

    async def _ask(self, channel_id: str, begin: datetime, end: datetime) -> tuple[list[Span], str | None]:
        try:
            async with asyncio.timeout(_DEVICE_ANSWERS_S):
                recordings = await self._network.history.recordings(channel_id, begin, end)
        except CommonviewError as error:
            return [], error.code
        except TimeoutError:
            return [], "device_silent"
        return [(stored_time(one.start), stored_time(one.end)) for one in recordings.bands], None


def _line(
    channel_id: str,
    kinds: dict[str, list[Span]],
    device: tuple[list[Span], str | None] | None,
    window: Span,
    resolution: int,
) -> Line:
    spans, failure = device if device is not None else ([], None)
    return Line(
        channel_id,
        kinds.get("recorded", ()),
        kinds.get("gap", ()),
        kinds.get("event", ()),
        joined([span for span in spans if span[1] > window[0] and span[0] < window[1]], *window, resolution),
        open=kinds.get("open", ()),
        device_failure=failure,
    )
