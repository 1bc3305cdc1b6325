"""Whether a superior's INVITE is taken: by who it is, what it means, and what is shared with it."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from commonview.network.cascade.model import RelayKind
from commonview.network.cascade.wish import WishRefused, comes_back, onward_path, read_wish
from commonview.network.model import DeviceOrigin
from commonview.network.user_identity import HEADER, is_platform, passed_on
from commonview.network.voice.calls import asks_for_voice
from commonview.security import SharedAction

if TYPE_CHECKING:
    from commonview.foundation.settings import IpNetwork
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.cascade.wish import Wish
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.security import Sharing
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

ACTIONS: Final = {
    RelayKind.LIVE: SharedAction.LIVE,
    RelayKind.PLAYBACK: SharedAction.RECORDING,
    RelayKind.DOWNLOAD: SharedAction.DOWNLOAD,
}
"""What must be shared for what is pulled."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that is taken: whose, for what, from where, and under which sharing."""

    link: Link
    wish: Wish
    record: DeviceRecord
    channel: Channel
    sharing: Sharing


@dataclass(frozen=True, slots=True)
class Caller:
    """A superior, the path its call came on, and where it may receive besides the address of that path."""

    link: Link
    flow: Flow
    media_networks: tuple[IpNetwork, ...] = ()

    def may_receive_at(self, host: str) -> bool:
        """Nothing proves that a datagram from a superior's address is its own, so an INVITE chooses no
        address that nobody agreed to: the superior's own, or one that the operator named."""
        own = self.flow.peer[0].partition("%")[0]
        return any(ip_address(host) in network for network in (ip_network(own), *self.media_networks))


def admit(cascade: Cascade, caller: Caller, request: SipRequest, counters: Counter[str]) -> Admitted | int:
    """The call, understood and allowed, or the status that refuses it.

    482 for a call that has crossed us before, 415 and 488 for an offer that cannot be served, 404 for a
    channel or a path that there is not, 403 for what is not shared, 480 for a device that is away.
    """
    link, settings = caller.link, caller.link.superior.settings
    if comes_back(request, settings.local_id, cascade.local_ids()):
        counters["loop_refused"] += 1
        return 482
    try:
        wish = read_wish(request, settings.local_id)
    except WishRefused as error:
        counters[f"wish_refused_{error.status}"] += 1
        log.info("INVITE of superior %s: %s", settings.server_id, error)
        return error.status
    if not caller.may_receive_at(wish.target.host):
        counters["target_elsewhere"] += 1
        log.warning(
            "superior %s wants pictures at %s; cascade_media_networks does not hold that address",
            settings.server_id,
            wish.target.host,
        )
        return 488
    found = cascade.offers.meant(link, wish.own_id)
    if found is None:
        return 404
    record, channel = found
    sharing = cascade.shares.covering(link.superior, channel, ACTIONS[wish.kind])
    if sharing is None:
        counters["not_shared"] += 1
        return 403
    onward = onward_path(request, settings.local_id)
    if onward and onward[0] != record.id and is_platform(onward[0]):
        counters["path_unknown"] += 1
        return 404
    if not record.online:
        return 480
    if wish.kind is not RelayKind.LIVE and record.origin is not DeviceOrigin.GB28181:
        return 488
    return Admitted(link, wish, record, channel, sharing)


def is_call_for_talk(request: SipRequest) -> bool:
    """Whether the INVITE brings a voice as 2016 knows it: sound alone, with `s=Talk`."""
    return b"m=audio" in request.body and b"m=video" not in request.body and not asks_for_voice(request)


def onward_headers(request: SipRequest, link: Link, record: DeviceRecord) -> tuple[tuple[str, str], ...]:
    """What goes down with our own INVITE: what is left of the path that the superior prefers (Annex H), and
    the user it names, with us in front (8.3)."""
    local_id = link.superior.settings.local_id
    path = onward_path(request, local_id)
    platforms = [one for one in path if is_platform(one)]
    preferred = (("X-PreferredPath", "-".join(platforms)),) if platforms else ()
    return (*preferred, *passed_on(record, local_id, request.headers.get(HEADER) or ""))


def taken_path(link: Link, record: DeviceRecord) -> str:
    """X-RoutePath of our answer: ourselves, and the platform the picture comes from (Annex H)."""
    local_id = link.superior.settings.local_id
    return f"{local_id}-{record.id}" if is_platform(record.id) else local_id
