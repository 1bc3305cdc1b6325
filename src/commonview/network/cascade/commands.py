"""Commands and questions of superiors about shared channels: mapped to the lower id, asked, mapped back.

What moves a camera needs a sharing with control; what belongs to the device itself (restart, upgrade,
formatting, its configuration) is never a superior's to do. A command that is not let through is refused by
its SIP answer, so that nobody above reads a 200 as done, and answered with ERROR where a business answer is
due (9.3.3).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import CommonviewError
from commonview.network.cascade.questions import SuperiorQuestions, named_below, upward
from commonview.network.model import DeviceOrigin
from commonview.network.user_identity import HEADER, readable_user
from commonview.security import SharedAction, SharedUse
from commonview.wire.manscdp import (
    AlarmCmd,
    DeviceConfig,
    DeviceConfigResult,
    DeviceControl,
    DeviceControlResult,
    DragZoom,
    HomePosition,
    IFrameCmd,
    Message,
    PtzCmd,
    PtzPreciseCtrl,
)
from commonview.wire.ptz import Move, Pan, PtzError, Stop, Tilt, Zoom, read_ptz

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from commonview.foundation.clock import Clock
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.control.foreign import ForeignPtz
    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange
    from commonview.network.model import Channel
    from commonview.network.sip_endpoint import ServerTransaction

log = logging.getLogger(__name__)

_UNDER_WAY: Final = 64
_STEERING_S: Final = 60.0

_COMMANDS: Final[dict[type[object], SharedAction]] = {
    PtzCmd: SharedAction.CONTROL,
    PtzPreciseCtrl: SharedAction.CONTROL,
    DragZoom: SharedAction.CONTROL,
    HomePosition: SharedAction.CONTROL,
    IFrameCmd: SharedAction.LIVE,
    AlarmCmd: SharedAction.ALARM,
}
"""What may be handed down, and what must be shared for it."""


class SuperiorCommands:
    """Hands down what superiors ask of shared channels. All methods run on the event loop."""

    def __init__(
        self,
        cascade: Cascade,
        exchange: Exchange,
        clock: Clock,
        foreign: Callable[[str], ForeignPtz | None],
    ) -> None:
        """``foreign(channel_id)``: how a camera is moved that is no GB/T 28181 device."""
        self._foreign = foreign
        self._cascade = cascade
        self._exchange = exchange
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._steered: dict[tuple[str, str], float] = {}
        self.counters: Counter[str] = Counter()
        messages = cascade.messages
        self.questions = SuperiorQuestions(cascade, exchange, self)
        messages.enter(DeviceControl, self._commanded)
        messages.enter(DeviceConfig, self._configured)
        messages.enter_root("Query", self._unsupported)
        messages.enter_root("Control", self._unsupported)

    # -- may it

    def admit(self, link: Link, own_id: str, action: SharedAction) -> tuple[DeviceRecord, Channel] | int:
        """The channel that is meant, or the status that refuses it."""
        found = self._cascade.offers.meant(link, own_id)
        if found is None:
            return 404
        if self._cascade.shares.covering(link.superior, found[1], action) is None:
            self.counters["not_shared"] += 1
            return 403
        if not found[0].online:
            return 480
        if self._under_way[link.superior.id] >= _UNDER_WAY:
            self.counters["busy"] += 1
            return 486
        return found

    # -- commands

    def _commanded(self, link: Link, message: DeviceControl, transaction: ServerTransaction) -> int:
        command = message.command
        action = _COMMANDS.get(type(command))
        if action is None:
            # Restart, upgrade, formatting, recording, guard; and what nobody does here, TargetTrack among it.
            self.counters["command_refused"] += 1
            status: tuple[DeviceRecord, Channel] | int = 403
        else:
            status = self.admit(link, message.device_id, action)
        if isinstance(status, int):
            if command.answered:
                self._say_failed(link, DeviceControlResult, message)
            self.note(link, transaction, message.device_id, command.name, "denied")
            return status
        self.counters["commands"] += 1
        record, channel = status
        if not isinstance(command, PtzCmd) or self._begins_steering(link, channel):
            self.note(link, transaction, message.device_id, command.name, "ok")
        headers = named_below(transaction.request, link, record)
        self.spawn(link, self._hand_down(link, message, record, channel, headers))
        return 200

    async def _hand_down(
        self,
        link: Link,
        message: DeviceControl,
        record: DeviceRecord,
        channel: Channel,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        if record.origin is not DeviceOrigin.GB28181:
            await self._drive(channel, message.command)
            if message.command.answered:
                self._say_failed(link, DeviceControlResult, message)
            return
        below = replace(message, sn=self._exchange.next_sn(), device_id=channel.gb_id, extra=(), repairs=())
        if not message.command.answered:
            await self._exchange.send(record, below, headers=headers)
            return
        try:
            reply = await self._exchange.ask(record, below, expect=DeviceControlResult, headers=headers)
        except CommonviewError:
            self._say_failed(link, DeviceControlResult, message)
            raise
        if not reply.answered:
            self._say_failed(link, DeviceControlResult, message)
            return
        await self._cascade.say(link, upward(reply.messages[0], message))

    async def _drive(self, channel: Channel, command: object) -> None:
        """A camera that does not speak GB/T 28181 is moved in its own language, as far as that has words."""
        foreign = self._foreign(channel.id)
        try:
            wanted = read_ptz(command.code) if isinstance(command, PtzCmd) else None
        except PtzError:
            wanted = None
        if foreign is not None and isinstance(wanted, Move):
            pan = {Pan.LEFT: -1, Pan.RIGHT: 1}.get(wanted.pan, 0) * wanted.pan_speed / 255
            tilt = {Tilt.DOWN: -1, Tilt.UP: 1}.get(wanted.tilt, 0) * wanted.tilt_speed / 255
            zoom = {Zoom.OUT: -1, Zoom.IN: 1}.get(wanted.zoom, 0) * wanted.zoom_speed / 15
            await foreign.move(pan, tilt, zoom)
        elif foreign is not None and isinstance(wanted, Stop):
            await foreign.stop()
        else:
            self.counters["command_untranslated"] += 1

    def _begins_steering(self, link: Link, channel: Channel) -> bool:
        """Whether this is the first move for a while: the repeated ones of one steering are not noted."""
        key, now = (link.superior.id, channel.id), self._clock.monotonic()
        self._steered = {one: at for one, at in self._steered.items() if now - at < _STEERING_S}
        begins = key not in self._steered
        self._steered[key] = now
        return begins

    def _configured(self, link: Link, message: DeviceConfig, transaction: ServerTransaction) -> int:
        """A device is configured by those who own it."""
        self.counters["configuration_refused"] += 1
        self._say_failed(link, DeviceConfigResult, message)
        self.note(link, transaction, message.device_id, "DeviceConfig", "denied")
        return 403

    def _unsupported(self, link: Link, message: Message, _transaction: ServerTransaction) -> int:
        self.counters["unsupported"] += 1
        log.info(
            "%s %s of superior %s is not supported",
            message.root,
            message.cmd_type[:40],
            link.superior.settings.server_id,
        )
        return 501

    def _say_failed(self, link: Link, kind: type[Any], asked: Message) -> None:
        answer = kind(sn=max(1, asked.sn), device_id=asked.device_id, result="ERROR")
        self.spawn(link, self._cascade.say(link, answer))

    # -- small change

    def note(self, link: Link, transaction: ServerTransaction, own_id: str, what: str, outcome: str) -> None:
        """An audit entry: who did, or was refused, what to which channel."""
        book, settings = self._cascade.shares.book, link.superior.settings
        if book is None:
            return
        found = self._cascade.offers.meant(link, own_id)
        channel_id = own_id if found is None else found[1].id
        user = readable_user(transaction.request.headers.get(HEADER))
        use = SharedUse(settings.server_id, settings.name, transaction.flow.peer[0], user)

        async def write() -> None:
            await asyncio.to_thread(
                book.record_shared_use, use, "camera.control", channel_id, outcome, command=what[:64]
            )

        self.spawn(link, write())

    def spawn(self, link: Link, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on for a superior; what fails of it is counted."""
        self._under_way[link.superior.id] += 1
        self._cascade.spawn(self._quietly(link, work))

    async def _quietly(self, link: Link, work: Any) -> None:
        try:
            await work
        except CommonviewError as error:
            self.counters["failed_below"] += 1
            log.info("for superior %s: %s", link.superior.settings.server_id, error.message)
        finally:
            self._under_way[link.superior.id] -= 1
