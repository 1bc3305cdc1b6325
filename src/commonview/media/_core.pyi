"""Types of the Rust extension (crates/media/src/python). Use `commonview.media` instead of this module."""

from pathlib import Path
from typing import final

class CoreError(Exception):
    """`args` are (code, message, params)."""

def scan_segment(path: str) -> dict[str, object]: ...
def hash_segment(path: str) -> str: ...
def mend_segment(path: str) -> tuple[Path, dict[str, object]] | None: ...
def segment_groups(path: str) -> tuple[dict[str, object], list[tuple[int, int, int]]]: ...
def segment_index(path: str) -> tuple[dict[str, object], list[tuple[int, int, int, int, bool, bool]]]: ...

@final
class Node:
    """The media core: reactor threads, receivers and the viewers' outlet."""

    def __new__(
        cls,
        *,
        ticket_key: bytes,
        viewer_host: str,
        viewer_port: int,
        rtp_host: str,
        rtp_port_min: int,
        rtp_port_max: int,
        port_quarantine_ms: int,
        reactors: int,
        gop_max_bytes: int,
        viewer_queue_bytes: int,
        viewer_queue_ms: int,
        media_timeout_ms: int,
        max_connections: int,
        request_head_timeout_ms: int,
        tls_certificate: str = "",
        tls_key: str = "",
    ) -> Node: ...
    def exchange_certificate(self, certificate: str, key: str) -> None: ...
    @property
    def viewer_port(self) -> int: ...
    @property
    def event_fd(self) -> int: ...
    @property
    def is_closed(self) -> bool: ...
    def open_receiver(
        self,
        stream_id: str,
        transport: str,
        ssrc: int | None,
        ssrc_policy: str,
        peer_host: str | None,
    ) -> tuple[int, int]: ...
    def connect_receiver(self, stream_id: str, host: str, port: int) -> None: ...
    def open_rtsp(
        self,
        stream_id: str,
        url: str,
        username: str,
        password: str,
        transport: str,
        *,
        address: str,
        networks: list[str],
        authorities: str = ...,
        certificate: str = ...,
    ) -> None: ...
    def retry_rtsp(self, stream_id: str) -> None: ...
    def set_ssrc(self, stream_id: str, ssrc: int) -> None: ...
    def pause_stream(self, stream_id: str, paused: bool) -> None: ...
    def discontinue(self, stream_id: str) -> None: ...
    def set_scale(self, stream_id: str, scale: float) -> None: ...
    def open_sender(
        self,
        *,
        sender_id: str,
        stream_id: str,
        transport: str,
        host: str,
        port: int,
        ssrc: int,
        payload_type: int,
        access_id: str,
        grant_id: str,
        end_by_ms: int,
    ) -> int: ...
    def open_talk(
        self,
        *,
        talk_id: str,
        transport: str,
        host: str,
        port: int,
        ssrc: int,
        payload_type: int,
        as_program_stream: bool,
        access_id: str,
        grant_id: str,
        end_by_ms: int,
        stream_id: str = "",
        aac_rate: int = ...,
    ) -> int: ...
    def close_talk(self, talk_id: str) -> None: ...
    def close_sender(self, sender_id: str) -> None: ...
    def sender_stats(self, sender_id: str) -> dict[str, object] | None: ...
    def keep_packets(self, stream_id: str, are_kept: bool) -> None: ...
    def open_recorder(
        self,
        *,
        recorder_id: str,
        stream_id: str,
        root: str,
        marker: str | None,
        directory: str,
        segment_ms: int,
        max_segment_bytes: int,
    ) -> None: ...
    def close_recorder(self, recorder_id: str) -> None: ...
    def recorder_stats(self) -> list[dict[str, object]]: ...
    def disk_stats(self) -> list[dict[str, object]]: ...
    def open_file_sink(self, sink_id: str, stream_id: str, path: str, max_bytes: int | None) -> None: ...
    def close_file_sink(self, sink_id: str) -> None: ...
    def sink_stats(self, sink_id: str) -> dict[str, object] | None: ...
    def close_stream(self, stream_id: str) -> None: ...
    def cut_grant(self, grant_id: str) -> int: ...
    def cut_access(self, access_id: str) -> int: ...
    def stream_stats(self, stream_id: str) -> dict[str, object] | None: ...
    def all_stats(self) -> list[dict[str, object]]: ...
    def node_stats(self) -> dict[str, object]: ...
    def drain_events(self, limit: int) -> list[tuple[str, int, dict[str, object]]]: ...
    def close(self) -> None: ...
