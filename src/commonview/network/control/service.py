"""Control: commands to devices and their cameras, followed until their effect is seen or cannot be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

from commonview.network.control.book import CommandBook
from commonview.network.control.driver import SteeringDriver, require_reachable
from commonview.network.control.editions import require_edition
from commonview.network.control.foreign import ForeignOrders, listed, require_known
from commonview.network.control.model import CapabilityVerdict, CommandFailure, CommandRight, CommandState
from commonview.network.control.observe import NOTHING_TO_SEE, Finding, ObservationLimits, Observer
from commonview.network.control.orders import Upgrade
from commonview.network.control.plans import edition_of, plan_of
from commonview.network.control.questions import Questions
from commonview.network.control.snapshots import SnapshotRoom
from commonview.network.control.target import Target
from commonview.network.exchange import PeerBusy, PeerOffline, PeerRefused, PeerSilent
from commonview.wire.manscdp import BasicParam, ManscdpError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.control.foreign import ForeignPtz
    from commonview.network.control.model import Capability, Command
    from commonview.network.control.observe import Before
    from commonview.network.control.orders import Order
    from commonview.network.control.plans import Plan
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.exchange import Accepted, Exchange
    from commonview.wire.manscdp import ConfigBlock, DeviceUpgradeResult, Message, Preset

log = logging.getLogger(__name__)

_UNDER_WAY = 16
"""Commands under way with one device; a person waits for them, a script must."""

_SIP_FAILURES = {
    PeerOffline: CommandFailure.DEVICE_OFFLINE,
    PeerBusy: CommandFailure.DEVICE_BUSY,
    PeerSilent: CommandFailure.DEVICE_SILENT,
    PeerRefused: CommandFailure.REFUSED_BY_DEVICE,
}


class Control:
    """The front door of this room. Runs on the event loop of the network room."""

    def __init__(
        self,
        directory: Directory,
        exchange: Exchange,
        database: Database,
        bus: Bus,
        clock: Clock,
        *,
        pictures: Path,
        limits: ObservationLimits | None = None,
        answer_s: float = 10.0,
        quiet_s: float = 3.0,
    ) -> None:
        """``pictures``: the folder uploaded pictures are kept in. The waits are in seconds."""
        self._directory = directory
        self._exchange = exchange
        self._clock = clock
        self._answer_s = answer_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: Counter[str] = Counter()
        self._upgrades: dict[tuple[str, str], asyncio.Future[DeviceUpgradeResult]] = {}
        self._counters: Counter[str] = Counter()
        self.book = CommandBook(database, bus, clock)
        self.questions = Questions(exchange, first_s=answer_s, quiet_s=quiet_s, on_block=self._read_block)
        self._observer = Observer(self.questions, limits)
        self.steering = SteeringDriver(exchange, self.book, self._observer, clock)
        self.snapshots = SnapshotRoom(database, exchange, self.book, clock, pictures)

    async def start(self) -> None:
        """End what a former process left open, and begin to write. Raises `StorageUnavailable`."""
        await self.book.close_left_over()
        await self.snapshots.prepare()
        self._spawn(self.book.write())
        self._spawn(self.snapshots.sweep())

    async def close(self) -> None:
        """Stop every camera that turns; commands under way are interrupted."""
        await self.steering.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.snapshots.close()
        await self.book.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counters["task_failed"] += 1
            log.error("a task of control ended: %r", error, exc_info=error)

    @property
    def counters(self) -> Counter[str]:
        """Everything counted here."""
        return self._counters + self.book.counters + self.steering.counters + self.snapshots.counters

    # -- targets

    def channel(self, channel_id: str) -> Target:
        """A channel as a target. Raises `ChannelUnknown`."""
        record, channel = self._directory.require_channel(channel_id)
        return Target(record, channel_id, channel.gb_id)

    def device(self, device_id: str) -> Target:
        """A device as a target. Raises `DeviceUnknown`."""
        record = self._directory.require(device_id)
        return Target(record, None, record.id)

    # -- commands

    def check(self, target: Target, order: Order) -> None:
        """Whether the order can be sent now at all. Raises `NeedsNewerEdition`, `PeerOffline`, `PeerBusy`."""
        record = target.record
        if require_reachable(target, self.foreign) is not None:
            require_known(order)
        else:
            require_edition(record, edition_of(order), getattr(order, "kind", ""))
        if self._under_way[record.id] >= _UNDER_WAY:
            raise PeerBusy(
                f"{_UNDER_WAY} commands to device {record.id} are under way; wait for them",
                device_id=record.id,
                limit=_UNDER_WAY,
            )

    async def order(self, target: Target, order: Order, account_id: str) -> Command:
        """Give a command; returns once it is on record. What becomes of it shows in the command.

        Raises as `check`, and `StorageUnavailable`: then nothing was sent.
        """
        self.check(target, order)
        record = target.record
        self._under_way[record.id] += 1
        try:
            parameters = order.model_dump(mode="json", exclude_none=True)
            kind = str(parameters.pop("kind"))
            known = await self.book.recall(record.id, target.channel_id, kind)
            command = await self.book.open(record.id, target.channel_id, kind, parameters, account_id)
        except BaseException:
            self._end(record.id)
            raise
        if order.right is CommandRight.STEER:
            self.steering.overtaken(target)
        ptz = require_reachable(target, self.foreign)
        if ptz is not None:
            self._spawn(self._carry_out_foreign(command, ptz, order))
            return command
        doubted = known is not None and known.verdict is CapabilityVerdict.NOT_DONE_BY_DEVICE
        self._spawn(self._carry_out(command, target, order, doubted=doubted))
        return command

    @property
    def foreign(self) -> Callable[[str], ForeignPtz | None]:
        """What steers a channel that is not steered by GB/T 28181."""
        return self.steering.foreign

    async def _carry_out_foreign(self, command: Command, ptz: ForeignPtz, order: Order) -> None:
        try:
            await ForeignOrders(self.book).carry_out(command, ptz, order)
        finally:
            self._end(command.device_id)

    async def presets(self, target: Target) -> dict[str, Preset]:
        """The presets by number, asked of the camera now. Raises as `Questions`, or `PeerOffline`."""
        ptz = require_reachable(target, self.foreign)
        if ptz is not None:
            return await listed(ptz)
        return await self.questions.presets(target.record, target.gb_id)

    def _end(self, device_id: str) -> None:
        self._under_way[device_id] -= 1
        if not self._under_way[device_id]:
            del self._under_way[device_id]

    async def _carry_out(self, command: Command, target: Target, order: Order, *, doubted: bool) -> None:
        record = target.record
        session_id = secrets.token_hex(16)
        upgrade = (record.id, session_id)
        before: Before | None = None
        try:
            plan = plan_of(order, record, target.gb_id, self._exchange.next_sn(), session_id)
            if isinstance(order, Upgrade):
                self._upgrades[upgrade] = asyncio.get_running_loop().create_future()
            before = self._observer.before(order, record, target.gb_id, self._clock.now())
            await asyncio.sleep(0)  # a question about the position leaves before the command
            if not await self._deliver(command, record, plan):
                return
            finding = await self._find(order, record, plan, before, upgrade)
            self._conclude(command.id, finding, plan, doubted=doubted)
        except ManscdpError as error:
            self._fail(command.id, CommandFailure.CANNOT_BE_WRITTEN, {"why": str(error)[:120]})
        except Exception:
            self._fail(command.id, CommandFailure.INTERRUPTED, {})
            raise
        finally:
            self._upgrades.pop(upgrade, None)
            if before is not None and before.position is not None:
                before.position.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await before.position
            self._end(record.id)

    async def _deliver(self, command: Command, record: DeviceRecord, plan: Plan) -> bool:
        """Send, and wait for the business answer where one is due; True when there may be an effect."""

        def accepted(by: Accepted) -> None:
            self.book.note(command.id, CommandState.ACCEPTED, {"sip_status": by.status})

        try:
            if plan.answer is None:
                accepted(await self._exchange.send(record, plan.message))
                return True
            reply = await self._exchange.ask(
                record, plan.message, expect=plan.answer, first_s=self._answer_s, on_accepted=accepted
            )
        except (PeerOffline, PeerBusy, PeerSilent, PeerRefused) as error:
            evidence = {"sip_status": error.status} if isinstance(error, PeerRefused) else {}
            self._fail(command.id, _SIP_FAILURES[type(error)], evidence)
            return False
        if not reply.answered:
            return True  # Uniview answers a BasicParam with a new registration only: what was done will show
        result = str(getattr(reply.messages[0], "result", ""))[:32]
        if getattr(reply.messages[0], "failed", False):
            self._fail(command.id, CommandFailure.REFUSED_BY_DEVICE, {"result": result})
            return False
        self.book.note(command.id, CommandState.ANSWERED, {"result": result or "untold"})
        return True

    async def _find(
        self, order: Order, record: DeviceRecord, plan: Plan, before: Before, upgrade: tuple[str, str]
    ) -> Finding:
        if isinstance(order, Upgrade):
            return await self._upgraded(upgrade)
        return await self._observer.after(order, record, plan.message.device_id, before)

    def _conclude(self, command_id: str, finding: Finding, plan: Plan, *, doubted: bool) -> None:
        command = self.book.under_way(command_id)
        if command is None:
            return
        unanswered = plan.answer is not None and not command.reached(CommandState.ANSWERED)
        if finding.seen:
            self.book.note(command_id, CommandState.OBSERVED, finding.evidence)
        elif unanswered:
            self._fail(command_id, CommandFailure.NOT_ANSWERED, finding.evidence)
        elif finding.seen is None:
            self.book.note(command_id, CommandState.NOT_OBSERVABLE, finding.evidence)
        elif finding.evidence.get("upgrade_result"):
            self._fail(command_id, CommandFailure.DEVICE_REPORTS_FAILURE, finding.evidence)
        else:
            failure = CommandFailure.DEVICE_DOES_NOT_DO_IT if doubted else CommandFailure.NOT_OBSERVED
            self._fail(command_id, failure, finding.evidence)

    def _fail(self, command_id: str, failure: CommandFailure, evidence: Any) -> None:
        if self.book.under_way(command_id) is not None:
            self.book.note(command_id, CommandState.FAILED, evidence, failure)

    def _read_block(self, record: DeviceRecord, block: ConfigBlock) -> None:
        """A device's own keep-alive period is how long it may be silent; missing values say nothing."""
        if isinstance(block, BasicParam) and block.heart_beat_interval_s and block.heart_beat_count:
            self._directory.learn_keepalive(record, block.heart_beat_interval_s, block.heart_beat_count)

    # -- upgrades

    async def _upgraded(self, upgrade: tuple[str, str]) -> Finding:
        try:
            async with asyncio.timeout(self._observer.limits.upgrade_s):
                told = await self._upgrades[upgrade]
        except TimeoutError:
            return NOTHING_TO_SEE
        evidence = {"upgrade_result": told.upgrade_result[:16] or "untold", "firmware": told.firmware[:64]}
        if not told.ok:
            evidence["reason"] = told.failed_reason or "untold"
        return Finding(told.ok, evidence)

    def on_upgrade_result(self, record: DeviceRecord, message: DeviceUpgradeResult) -> None:
        """The device says how its upgrade ended."""
        waiting = self._upgrades.get((record.id, message.session_id))
        if waiting is None or waiting.done():
            self._counters["upgrade_result_unasked"] += 1
            return
        waiting.set_result(message)

    def on_snapshot_finished(self, record: DeviceRecord, message: Message) -> None:
        """The device says that it has uploaded its pictures."""
        self.snapshots.on_finished(record, message)

    # -- reading

    async def command(self, command_id: str) -> Command:
        """One command. Raises `CommandUnknown`."""
        return await self.book.get(command_id)

    async def commands(
        self, *, device_id: str | None = None, channel_id: str | None = None, limit: int = 100
    ) -> list[Command]:
        """The newest commands."""
        return await self.book.list(device_id=device_id, channel_id=channel_id, limit=limit)

    async def capabilities(self, device_id: str) -> tuple[Capability, ...]:
        """What a device and its channels turned out to do or not to do. Raises `DeviceUnknown`."""
        self.device(device_id)
        return await self.book.capabilities(device_id)

    async def forget_capability(self, device_id: str, channel_id: str | None, kind: str) -> None:
        """Begin anew with one kind of command. Raises `DeviceUnknown`, `CapabilityUnknown`."""
        self.device(device_id)
        await self.book.forget(device_id, channel_id, kind)
