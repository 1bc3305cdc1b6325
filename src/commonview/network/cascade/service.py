"""The front desk of the cascade: superiors are kept, registered with, told and served."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.network.cascade import store
from commonview.network.cascade.answers import OwnAnswers
from commonview.network.cascade.catalogue import CatalogueUp
from commonview.network.cascade.commands import SuperiorCommands
from commonview.network.cascade.directory import VirtualDirectories
from commonview.network.cascade.errors import SuperiorInvalid, SuperiorShared, SuperiorUnknown
from commonview.network.cascade.link import Link, NotTaken
from commonview.network.cascade.messages import SuperiorMessages
from commonview.network.cascade.model import (
    CascadeTransport,
    Superior,
    SuperiorSettings,
    SuperiorStatus,
)
from commonview.network.cascade.notices import Notices
from commonview.network.cascade.offers import Offers
from commonview.network.cascade.relays import Relays
from commonview.network.cascade.settings import check_settings, registered_as
from commonview.network.cascade.shares import Shares
from commonview.network.cascade.subscriptions import SuperiorSubscriptions
from commonview.network.cascade.talks import SuperiorTalks
from commonview.network.registration import user_of
from commonview.network.registration_plan import RegistrationPhase
from commonview.network.sip_tls import client_context
from commonview.wire.manscdp import CatalogQuery

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from commonview.network.cascade.ground import CascadeGround
    from commonview.network.cascade.shares import SharingBook
    from commonview.network.router import Router
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.network.subscription_server import SubscriptionServer
    from commonview.security import SharedAction
    from commonview.wire.manscdp import Message
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_MOST_SUPERIORS: Final = 64


def superior_secret(superior_id: str) -> str:
    """What a superior's sealed password is bound to."""
    return f"superior:{superior_id}"


class Cascade:
    """Every superior. All methods run on the event loop."""

    def __init__(self, ground: CascadeGround, router: Router, subscribers: SubscriptionServer) -> None:
        self._ground = ground
        self._superiors: dict[str, Superior] = {}
        self._links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changing = asyncio.Lock()
        self.shares = Shares(ground.database, ground.tree.groups)
        self.directories = VirtualDirectories(
            ground.database, ground.tree.groups, self.shares, is_online=self._is_online
        )
        self.catalogue = CatalogueUp(self.directories, batch_s=ground.batch_s)
        self.offers = Offers(self, ground.database, ground.directory)
        self.messages = SuperiorMessages(self, self._is_device)
        self.messages.enter(CatalogQuery, self._catalogue_asked)
        self.answers = OwnAnswers(self, ground.clock)
        self.commands = SuperiorCommands(self, ground.exchange, ground.clock, ground.foreign)
        self.notices = Notices(self, ground.database, ground.directory, ground.clock)
        self.subscriptions = SuperiorSubscriptions(self, self.catalogue, self.spawn)
        self.relays = Relays(self, ground.for_relays())
        self.talks = SuperiorTalks(self, ground.for_relays())
        router.enter_messages(self.messages.take)
        router.enter_calls(self.talks)
        router.enter_calls(self.relays)
        subscribers.enter(self.subscriptions)
        self.counters: Counter[str] = Counter()

    # -- life

    def use(self, book: SharingBook) -> None:
        """Name who keeps the sharings; without one nothing is shared."""
        self.shares.book = book

    async def start(self) -> None:
        """Read the superiors back and register with each. Raises `StorageUnavailable`."""
        for superior in await asyncio.to_thread(self._load):
            self._superiors[superior.id] = superior
        await self.shares.refresh()
        for superior in self._superiors.values():
            self._connect(superior)
        self.spawn(self._watch_bus())
        self.spawn(self._watch_time())

    def _load(self) -> list[Superior]:
        with self._ground.database.read() as conn:
            return store.load(conn)

    async def close(self) -> None:
        """End every relay and unregister everywhere."""
        await asyncio.gather(self.relays.close(), self.talks.close())
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.stop() for link in links))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on by itself; what fails of it is logged and counted."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("a task of the cascade failed", exc_info=error)

    def _connect(self, superior: Superior) -> None:
        if not superior.settings.enabled:
            return
        if superior.settings.transport is CascadeTransport.TLS:
            self._trust()
        sealed = superior.password_sealed
        password = b"" if sealed is None else self._ground.vault.open(sealed, superior_secret(superior.id))
        link = Link(
            self._ground.endpoint,
            superior,
            password.decode(),
            self._ground.clock,
            on_changed=self._link_changed,
            retry=self._ground.retry,
        )
        self._links[superior.id] = link
        link.start()

    def _trust(self) -> None:
        """Know whose certificates to believe; without, a superior over TLS is shown as unreachable."""
        try:
            self._ground.endpoint.trust(client_context(self._ground.tls_ca))
        except OSError as error:  # ssl.SSLError among them
            self.counters["tls_authorities_unreadable"] += 1
            log.error("sip_tls_client_ca cannot be used for superiors: %s", error)  # noqa: TRY400 - a setting

    def _link_changed(self, link: Link) -> None:
        if link.registered:
            self._ground.history.calls.joined(link.superior.id, link.flow)
        self._ground.bus.publish("superior.changed", {"superior_id": link.superior.id})

    # -- superiors

    def superiors(self) -> tuple[tuple[Superior, SuperiorStatus], ...]:
        """Every superior and how it stands, by age."""
        return tuple((one, self._status(one)) for one in self._superiors.values())

    def superior(self, superior_id: str) -> tuple[Superior, SuperiorStatus]:
        """One of them. Raises `SuperiorUnknown`."""
        found = self.known(superior_id)
        return found, self._status(found)

    def known(self, superior_id: str) -> Superior:
        """One as it is kept. Raises `SuperiorUnknown`."""
        found = self._superiors.get(superior_id)
        if found is None:
            raise SuperiorUnknown(f"no superior {superior_id[:40]!r}", superior_id=superior_id[:40])
        return found

    def _status(self, superior: Superior) -> SuperiorStatus:
        link = self._links.get(superior.id)
        settings = superior.settings
        status = None if link is None else link.status
        return SuperiorStatus(
            phase=RegistrationPhase.STOPPED if status is None else status.phase,
            trouble=None if status is None else status.trouble,
            sip_status=None if status is None else status.status,
            address=f"{settings.host}:{settings.port}"
            if status is None
            else f"{status.server.host}:{status.server.port}",
            redirected=status is not None and status.redirected,
            failures=0 if status is None else status.failures,
            missed=0 if status is None else status.keepalive_missed,
            granted_s=0 if status is None else status.granted_s,
            gb_version=None if status is None else status.gb_version,
            clock_offset_s=None if status is None else status.clock_offset_s,
            since=None if link is None else link.since,
            offered=self.catalogue.offered.get(superior.id),
            subscriptions=self.subscriptions.kinds(superior.id),
            relays=self.relays.running(superior.id) + self.talks.running(superior.id),
        )

    async def add(self, settings: SuperiorSettings, password: str) -> Superior:
        """Keep a superior and register with it. Raises `SuperiorInvalid`, `StorageUnavailable`."""
        async with self._changing:
            if len(self._superiors) >= _MOST_SUPERIORS:
                raise SuperiorInvalid(f"there are {_MOST_SUPERIORS} superiors already", field="name")
            self._check(settings, password, None)
            superior_id = new_id()
            superior = Superior(
                superior_id, settings, self._ground.clock.now(), self._sealed(superior_id, password)
            )
            await asyncio.to_thread(self._save, superior, True)
            self._superiors[superior.id] = superior
            self._connect(superior)
        self._ground.bus.publish("superior.changed", {"superior_id": superior.id})
        return superior

    async def change(
        self, superior_id: str, settings: SuperiorSettings, password: str | None = None
    ) -> Superior:
        """Change a superior: unregister as it was, register as it is. ``None`` keeps the password.

        Raises `SuperiorUnknown`, `SuperiorInvalid`, `StorageUnavailable`.
        """
        async with self._changing:
            known = self.known(superior_id)
            self._check(settings, password or "", superior_id)
            sealed = known.password_sealed if password is None else self._sealed(superior_id, password)
            superior = replace(known, settings=settings, password_sealed=sealed)
            await asyncio.to_thread(self._save, superior, False)
            await self._disconnect(superior_id)
            self._superiors[superior_id] = superior
            self._connect(superior)
        self._ground.bus.publish("superior.changed", {"superior_id": superior_id})
        return superior

    async def remove(self, superior_id: str) -> None:
        """Forget a superior. Raises `SuperiorUnknown`, `SuperiorShared`, `StorageUnavailable`."""
        async with self._changing:
            self.known(superior_id)
            await self.shares.refresh()
            if self.shares.of(superior_id):
                raise SuperiorShared("revoke the sharings with this superior first", superior_id=superior_id)
            await asyncio.to_thread(self._remove, superior_id)
            await self._disconnect(superior_id)
            del self._superiors[superior_id]
        self._ground.bus.publish("superior.changed", {"superior_id": superior_id})

    def _sealed(self, superior_id: str, password: str) -> bytes | None:
        if not password:
            return None
        return self._ground.vault.seal(password.encode(), superior_secret(superior_id))

    def _save(self, superior: Superior, new: bool) -> None:
        with self._ground.database.begin() as conn:
            store.save(conn, superior, new=new)

    def _remove(self, superior_id: str) -> None:
        with self._ground.database.begin() as conn:
            store.remove(conn, superior_id)

    async def _disconnect(self, superior_id: str) -> None:
        link = self._links.pop(superior_id, None)
        if link is not None:
            self.relays.end_all(superior_id)
            self.talks.end_all(superior_id)
            await self.subscriptions.end(superior_id)
            await link.stop()

    def _check(self, settings: SuperiorSettings, password: str, superior_id: str | None) -> None:
        check_settings(settings, password)
        wanted = registered_as(settings)
        for other in self._superiors.values():
            if other.id != superior_id and registered_as(other.settings) == wanted:
                raise SuperiorInvalid("we register there under this id already", field="local_id")

    # -- who speaks

    def find(self, transaction: ServerTransaction) -> Link | None:
        """The superior a request comes from: by its address, its id and whom it means (trap 14)."""
        host = transaction.flow.peer[0]
        if not any(link.flow is not None and link.flow.peer[0] == host for link in self._links.values()):
            return None  # a device, as a rule: nothing of its message is read here
        return self.find_at(
            user_of(transaction.request.headers.first.get("From")),
            user_of(transaction.request.headers.first.get("To")),
            transaction.flow,
        )

    def caller(self, request: SipRequest, flow: Flow) -> Link | None:
        """As `find`, of a request that nothing is kept of yet."""
        headers = request.headers
        return self.find_at(user_of(headers.get("From")), user_of(headers.get("To")), flow)

    def find_at(self, sender: str | None, target: str | None, flow: Flow) -> Link | None:
        """As `find`."""
        meant = [link for link in self._links.values() if link.is_from(sender, flow)]
        if len(meant) > 1:
            meant.sort(
                key=lambda link: (
                    link.flow is None or link.flow.peer != flow.peer,
                    link.superior.settings.server_id != sender,
                    link.superior.settings.local_id != target,
                )
            )
        return meant[0] if meant else None

    def local_ids(self) -> frozenset[str]:
        """Who we are towards superiors."""
        return frozenset(link.superior.settings.local_id for link in self._links.values())

    def links(self) -> tuple[Link, ...]:
        """Every connection to a superior."""
        return tuple(self._links.values())

    def link(self, superior_id: str) -> Link | None:
        """The connection to a superior, None when it is off."""
        return self._links.get(superior_id)

    def _is_device(self, device_id: str, flow: Flow) -> bool:
        record = self._ground.directory.get(device_id)
        mono = self._ground.clock.monotonic()
        return record is not None and self._ground.directory.registered_here(record, flow, mono)

    def _is_online(self, device_id: str) -> bool:
        record = self._ground.directory.get(device_id)
        return record is not None and record.online

    # -- questions about ourselves

    def _catalogue_asked(self, link: Link, query: CatalogQuery, _transaction: ServerTransaction) -> int:
        self.spawn(self.catalogue.answer(link, query))
        return 200

    def is_shared(self, channel_id: str, action: SharedAction) -> bool:
        """Whether any superior may do this with a channel now."""
        found = self._ground.directory.channel(channel_id)
        return found is not None and any(
            self.shares.covering(superior, found[1], action) is not None
            for superior in self._superiors.values()
        )

    async def say(self, link: Link, message: Message) -> None:
        """Send a message upward; one that is not taken is counted, and the superior asks again."""
        try:
            await link.send(message)
        except NotTaken as error:
            self.counters["unsaid"] += 1
            log.info("%s to superior %s: %s", message.cmd_type, link.superior.settings.server_id, error)

    # -- what changes

    async def _watch_bus(self) -> None:
        async with self._ground.bus.subscribe(
            ("channel.", "device.", "sharing.", "group.", "bus.")
        ) as events:
            async for event in events:
                device_id = event.payload.get("device_id")
                if event.topic.startswith("sharing."):
                    await self.look_again()
                elif isinstance(device_id, str):
                    self.catalogue.touched(device_id)
                else:
                    self.catalogue.touched_all()

    async def _watch_time(self) -> None:
        while True:
            await asyncio.sleep(self._ground.refresh_s)
            await self.look_again()

    async def look_again(self) -> None:
        """See what is shared now: sharings begin and end by time as well as by decision."""
        try:
            changed = await self.shares.refresh()
        except StorageUnavailable as error:
            self.counters["refresh_failed"] += 1
            log.warning("sharings cannot be read: %s", error.message)
            return
        for superior_id in changed:
            self.catalogue.touched_all(superior_id)
