"""The book of commands: durable before anything is sent, published at every step."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.network.control import store
from commonview.network.control.errors import CapabilityUnknown, CommandUnknown
from commonview.network.control.machine import advance, learned
from commonview.network.control.model import Command, CommandFailure, CommandState, CommandStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.control.model import Capability, Evidence

log = logging.getLogger(__name__)

_RETRY_S = 1.0


class CommandBook:
    """Commands and what they taught. Steps are noted at once in memory and written right behind."""

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._live: dict[str, Command] = {}
        self._unwritten: dict[str, Command] = {}
        self._writing: dict[str, Command] = {}
        self._learned: dict[tuple[str, str | None, str], Capability] = {}
        self._known: dict[str, dict[tuple[str | None, str], Capability]] = {}
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self.counters: Counter[str] = Counter()

    async def close_left_over(self) -> None:
        """Commands that a former process left in the middle are over. Raises `StorageUnavailable`."""

        def work() -> int:
            with self._database.begin() as conn:
                left = store.load_unfinished(conn)
                for command in left:
                    store.save_command(
                        conn,
                        advance(
                            command,
                            CommandState.FAILED,
                            self._clock.now(),
                            failure=CommandFailure.INTERRUPTED,
                        ),
                    )
                return len(left)

        self.counters["interrupted"] += await asyncio.to_thread(work)

    async def open(
        self,
        device_id: str,
        channel_id: str | None,
        kind: str,
        parameters: Mapping[str, object],
        account_id: str,
    ) -> Command:
        """A new command, on disk. Raises `StorageUnavailable`: then nothing may be sent."""
        now = self._clock.now()
        first = CommandStep(CommandState.SENT, now, {})
        command = Command(new_id(), device_id, channel_id, kind, dict(parameters), account_id, now, (first,))

        def work() -> None:
            with self._database.begin() as conn:
                store.save_command(conn, command)
                store.prune_commands(conn, device_id, channel_id)

        await asyncio.to_thread(work)
        self._live[command.id] = command
        self.counters["opened"] += 1
        self._publish(command)
        return command

    def note(
        self,
        command_id: str,
        state: CommandState,
        evidence: Evidence | None = None,
        failure: CommandFailure | None = None,
    ) -> Command:
        """One step of a command that is under way. Raises `IllegalStep`, KeyError once it is over."""
        command = advance(self._live[command_id], state, self._clock.now(), evidence, failure)
        self._live[command_id] = command
        self._unwritten[command_id] = command
        if command.over:
            del self._live[command_id]
            self.counters[(command.failure or command.state).value] += 1
            self._learn(command)
        self._written.clear()
        self._wake.set()
        self._publish(command)
        return command

    def under_way(self, command_id: str) -> Command | None:
        """The command, while something may still become of it."""
        return self._live.get(command_id)

    def _publish(self, command: Command) -> None:
        self._bus.publish(
            "command.changed",
            {
                "command_id": command.id,
                "device_id": command.device_id,
                "channel_id": command.channel_id,
                "state": command.state.value,
            },
        )

    # -- writing

    async def write(self) -> None:
        """Write what was noted, in groups; runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        while self._unwritten or self._learned:
            commands = self._writing = self._unwritten
            self._unwritten = {}
            lessons, self._learned = self._learned, {}
            try:
                await asyncio.to_thread(self._save, list(commands.values()), list(lessons.values()))
            except StorageUnavailable as error:
                self.counters["store_failed"] += 1
                log.warning("steps of %d commands wait for the disk: %s", len(commands), error.message)
                self._unwritten = commands | self._unwritten
                self._learned = lessons | self._learned
                await asyncio.sleep(_RETRY_S)
            self._writing = {}
        self._written.set()

    def _save(self, commands: list[Command], lessons: list[Capability]) -> None:
        with self._database.begin() as conn:
            for command in commands:
                store.save_command(conn, command)
            for lesson in lessons:
                store.save_capability(conn, lesson)

    async def close(self) -> None:
        """Everything under way is interrupted and written, if the disk takes it."""
        for command_id in list(self._live):
            self.note(command_id, CommandState.FAILED, failure=CommandFailure.INTERRUPTED)
        try:
            await asyncio.to_thread(self._save, list(self._unwritten.values()), list(self._learned.values()))
        except StorageUnavailable as error:
            self.counters["store_failed"] += 1
            log.warning("the last steps of commands could not be written: %s", error.message)

    # -- reading

    async def get(self, command_id: str) -> Command:
        """One command. Raises `CommandUnknown`."""
        known = (
            self._live.get(command_id)
            or self._unwritten.get(command_id)
            or self._writing.get(command_id)  # the disk still has the step before
        )
        if known is None:
            known = await asyncio.to_thread(self._load, command_id)
        if known is None:
            raise CommandUnknown(f"no command {command_id[:40]!r}", command_id=command_id[:40])
        return known

    def _load(self, command_id: str) -> Command | None:
        with self._database.read() as conn:
            return store.load_command(conn, command_id)

    async def list(
        self, *, device_id: str | None = None, channel_id: str | None = None, limit: int = 100
    ) -> list[Command]:
        """The newest commands, of everything, of a device with its channels, or of one channel."""
        await self._written.wait()

        def work() -> list[Command]:
            with self._database.read() as conn:
                return store.load_commands(conn, device_id=device_id, channel_id=channel_id, limit=limit)

        return await asyncio.to_thread(work)

    # -- what devices turned out to do

    def _learn(self, command: Command) -> None:
        known = self._known.setdefault(command.device_id, {})
        key = (command.channel_id, command.kind)
        lesson = learned(known.get(key), command)
        if lesson is not None:
            known[key] = lesson
            self._learned[command.device_id, command.channel_id, command.kind] = lesson

    async def capabilities(self, device_id: str) -> tuple[Capability, ...]:
        """Everything learned about a device and its channels."""
        return tuple((await self._recall(device_id)).values())

    async def _recall(self, device_id: str) -> dict[tuple[str | None, str], Capability]:
        known = self._known.get(device_id)
        if known is None:

            def work() -> list[Capability]:
                with self._database.read() as conn:
                    return store.load_capabilities(conn, device_id)

            loaded = await asyncio.to_thread(work)
            known = self._known.setdefault(device_id, {})
            for one in loaded:
                known.setdefault((one.channel_id, one.kind), one)
        return known

    async def recall(self, device_id: str, channel_id: str | None, kind: str) -> Capability | None:
        """What is known of one kind of command; to be asked before a command is sent."""
        return (await self._recall(device_id)).get((channel_id, kind))

    async def forget(self, device_id: str, channel_id: str | None, kind: str) -> None:
        """Begin anew with one kind of command, after a new firmware perhaps. Raises `CapabilityUnknown`."""
        known = await self._recall(device_id)

        def work() -> Any:
            with self._database.begin() as conn:
                return store.forget_capability(conn, device_id, channel_id, kind)

        await self._written.wait()
        stored = await asyncio.to_thread(work)
        if known.pop((channel_id, kind), None) is None and not stored:
            raise CapabilityUnknown(f"nothing is known of {kind[:40]!r}", kind=kind[:40])
