"""A foreign peer as a process: it prints one JSON object a line, and does what a line on its input says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


class PeerProcess:
    """A running peer; `told` is what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b"{"):
                self.told.append(json.loads(line))

    def heard(self, key: str, value: object = None) -> list[dict[str, Any]]:
        """Everything it told under this key, or with this value under it."""
        return [one for one in self.told if key in one and value in (None, one[key])]

    async def say(self, words: str) -> None:
        """Let it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n".encode())
        await self._process.stdin.drain()

    async def stop(self) -> None:
        """Let it unregister and end; kill it when it does not."""
        if self._process.returncode is None:
            try:
                await self.say("quit")
                await asyncio.wait_for(self._process.wait(), 10)
            except (TimeoutError, ConnectionError):
                self._process.kill()
                await self._process.wait()
        await asyncio.gather(self._reading, return_exceptions=True)


@asynccontextmanager
async def running_peer(*command: str, log: Path) -> AsyncIterator[PeerProcess]:
    """Start the program; its error output goes into ``log``."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    peer = PeerProcess(process)
    try:
        yield peer
    finally:
        await peer.stop()
