"""The commands of a media node beside receiving, kept in the order they were given."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from commonview.media import (
    FileSinkStats,
    OpenSegment,
    RecorderStats,
    RecorderTarget,
    RecordingDiskStats,
    Sender,
    SenderStats,
    SenderTarget,
    Talk,
    TalkCarriage,
    TapStats,
    TlsIdentity,
)


class RecordedOutlets:
    """What a node was told about playbacks, files, senders and talks."""

    def __init__(self) -> None:
        self.played: list[tuple[object, ...]] = []

    def pause_stream(self, stream_id: str, paused: bool) -> None:
        self.played.append(("pause", stream_id, paused))

    def exchange_certificate(self, identity: TlsIdentity) -> None:
        self.played.append(("exchange_certificate", identity.certificate))

    def discontinue(self, stream_id: str) -> None:
        self.played.append(("discontinue", stream_id))

    def set_scale(self, stream_id: str, scale: float) -> None:
        self.played.append(("scale", stream_id, scale))

    def open_sender(
        self,
        sender_id: str,
        stream_id: str,
        target: SenderTarget,
        *,
        ssrc: int,
        payload_type: int = 96,
        access_id: str,
        grant_id: str,
        end_by: datetime,
    ) -> Sender:
        self.played.append(
            ("open_sender", sender_id, stream_id, target, ssrc, payload_type, access_id, grant_id)
        )
        return Sender(local_port=38_000 + 2 * len(self.played))

    def close_sender(self, sender_id: str) -> None:
        self.played.append(("close_sender", sender_id))

    def sender_stats(self, sender_id: str) -> SenderStats | None:
        return None

    def keep_packets(self, stream_id: str, are_kept: bool) -> None:
        self.played.append(("keep_packets", stream_id, are_kept))

    def open_talk(
        self,
        talk_id: str,
        target: SenderTarget,
        *,
        ssrc: int,
        payload_type: int = 8,
        carriage: TalkCarriage = TalkCarriage.PCMA,
        aac_rate_hz: int = 0,
        access_id: str,
        grant_id: str,
        end_by: datetime,
        stream_id: str = "",
    ) -> Talk:
        self.played.append(("open_talk", talk_id, target, ssrc, payload_type, carriage, access_id, grant_id))
        return Talk(local_port=37_000 + 2 * len(self.played))

    def close_talk(self, talk_id: str) -> None:
        self.played.append(("close_talk", talk_id))

    def open_recorder(
        self,
        recorder_id: str,
        stream_id: str,
        target: RecorderTarget,
        *,
        segment_s: float = 60.0,
        max_segment_bytes: int = 2**30,
    ) -> None:
        raise AssertionError("nobody records here")

    def close_recorder(self, recorder_id: str) -> None:
        raise AssertionError("nobody records here")

    def open_fed(self, stream_id: str) -> int:
        raise AssertionError("nothing is transcoded here")

    def open_tap(self, tap_id: str, stream_id: str) -> int:
        raise AssertionError("nothing is transcoded here")

    def close_tap(self, tap_id: str) -> None:
        raise AssertionError("nothing is transcoded here")

    def tap_stats(self, tap_id: str) -> TapStats | None:
        return None

    def turn_recorder(self, recorder_id: str) -> None:
        raise AssertionError("nobody records here")

    def open_segments(self, recorder_id: str) -> list[OpenSegment]:
        return []

    def recorder_stats(self) -> list[RecorderStats]:
        return []

    def recording_disks(self) -> list[RecordingDiskStats]:
        return []

    def open_file_sink(
        self, sink_id: str, stream_id: str, path: Path, *, max_bytes: int | None = None
    ) -> None:
        self.played.append(("open_file", sink_id, stream_id, path, max_bytes))

    def close_file_sink(self, sink_id: str) -> None:
        self.played.append(("close_file", sink_id))

    def sink_stats(self, sink_id: str) -> FileSinkStats | None:
        return None
