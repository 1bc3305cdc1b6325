"""gb-cms (github.com/lkmio), a platform in Go on the gosip stack, driven through its own HTTP interface."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.interop.peers.lkm_media import LkmMedia, lkm_media
from tests.ports import free_port
from tests.waiting import PATIENCE_S

_OPERATOR = hashlib.md5(b"of the interop tests", usedforsecurity=False).hexdigest()
_CONFIG = """\
[sip]
id = {server_id}
realm = {domain}
port = {sip_port}
listen_ip = 127.0.0.1
public_ip = 127.0.0.1
password = 12345678
mobile_position_interval = 10
subscribe_expires = 3600
alive_expires = 180
position_reserve_days = 1
alarm_reserve_days = 1
log_reserve_days = 1
invite_timeout = 10
device_default_media_transport = udp
media_server = http://127.0.0.1:{media_port}
prefer_stream_fmt = FLV
sub_catalog_global_interval = {subscribe}
sub_alarm_global_interval = 0
sub_position_global_interval = 0
sub_ptz_global_interval = 0
global_drop_channel_type =

[http]
port = {http_port}

[hooks]
online =
offline =
position =
on_invite =
on_query_record =

[ip2region]
db_path = none
enable = 0
"""


@dataclass(frozen=True)
class GbCms:
    """One running gb-cms."""

    sip_port: int
    media: LkmMedia
    _http: httpx.AsyncClient

    async def ask(self, path: str, **words: object) -> Any:
        """Call its interface; what it answers."""
        fields = {key: str(value) for key, value in words.items()}
        answer = await self._http.post(f"/api/v1/{path}", params=fields)
        return answer.json() if answer.content else None

    async def devices(self) -> list[dict[str, Any]]:
        """What is registered with it."""
        return (await self.ask("device/list", start=0, limit=100))["DeviceList"] or []

    async def channels(self, device_id: str) -> list[dict[str, Any]]:
        """What it has of a device's catalogue; of one it does not know yet it answers with a bare word."""
        answer = await self.ask("device/channellist", serial=device_id, start=0, limit=100)
        return answer["ChannelList"] or [] if isinstance(answer, dict) else []

    async def superiors(self) -> list[dict[str, Any]]:
        """The platforms it cascades to."""
        return (await self.ask("cascade/list", start=0, limit=10))["CascadeList"] or []


@asynccontextmanager
async def gb_cms(program: str, folder: Path, *, server_id: str, subscribe_s: int = 0) -> AsyncIterator[GbCms]:
    """Run it in a folder of its own; it is ready when it lets us in."""
    folder.mkdir()
    (folder / "data").mkdir()
    (folder / "data" / "pwd.txt").write_text(_OPERATOR)
    sip_port = free_port()
    http_port = free_port()
    base = f"http://127.0.0.1:{http_port}"
    async with lkm_media(base) as media:
        config = _CONFIG.format(
            server_id=server_id,
            domain=server_id[:10],
            sip_port=sip_port,
            http_port=http_port,
            media_port=media.port,
            subscribe=subscribe_s,
        )
        (folder / "config.ini").write_text(config)
        with (folder / "gb-cms.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=70.0) as client:
                await _log_in(client, process)
                yield GbCms(sip_port, media, client)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _log_in(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while process.returncode is None:
            try:
                answer = await client.post("/api/v1/login", params={"username": "a", "password": _OPERATOR})
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            answer.raise_for_status()
            return
    raise RuntimeError(f"gb-cms ended with {process.returncode}")
