"""The live side of sources: what stands where an INVITE stands for a device that registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.media import MediaError, MediaTransport
from commonview.network.calls import CallFailed
from commonview.network.model import Failure, FailureCode
from commonview.network.sources.address import locate, resolve
from commonview.network.sources.errors import SourceFailed, SourceInvalid
from commonview.network.sources.failures import rtsp_failure
from commonview.network.sources.model import SourceOutcome, SourceTransport
from commonview.network.sources.tls import TlsTrust

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from commonview.foundation.settings import IpNetwork
    from commonview.media import MediaNode
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.sources.exchange import Credentials
    from commonview.network.sources.model import Source


class SourceStreams:
    """Opens streams of sources at the media node."""

    def __init__(
        self,
        node: MediaNode,
        networks: Sequence[IpNetwork],
        find: Callable[[str], Source | None],
        credentials: Callable[[Source], Credentials],
        trust: TlsTrust,
    ) -> None:
        """``find`` gives the source of a device id, ``credentials`` opens what is sealed of it."""
        self._node = node
        self._networks = tuple(networks)
        self._find = find
        self._credentials = credentials
        self._trust = trust

    def transport(self, record: DeviceRecord) -> MediaTransport:
        """How the media comes, in the words of a session: over a connection that we dial, or by UDP."""
        source = self._find(record.id)
        is_udp = source is not None and source.transport is SourceTransport.UDP
        return MediaTransport.UDP if is_udp else MediaTransport.TCP_ACTIVE

    def address(self, record: DeviceRecord, channel: Channel, stream_number: int) -> str:
        """``host:port`` of the server that will be asked. Raises `CallFailed`."""
        return locate(self._url(record, channel, stream_number)[1], "rtsp").authority

    async def ask(
        self, stream_id: str, record: DeviceRecord, channel: Channel, stream_number: int, *, again: bool
    ) -> None:
        """Have the node ask the server; the outcome comes as an event of the node.

        Raises `CallFailed` when it does not even come to that.
        """
        source, url = self._url(record, channel, stream_number)
        try:
            location = locate(url, "rtsp")
            address = await resolve(location.host, location.port, self._networks)
            if again:
                self._node.retry_rtsp(stream_id)
                return
            who = self._credentials(source)
            trust = self._trust.only(source.certificate_sha256) if location.is_tls else TlsTrust()
            if location.is_tls and not trust:
                raise CallFailed(rtsp_failure(SourceOutcome.CERTIFICATE.value))
            self._node.open_rtsp(
                stream_id,
                location.url,
                username=who.username,
                password=who.password,
                transport=source.transport.value,
                address=address,
                networks=[str(network) for network in self._networks],
                authorities=trust.authorities,
                certificate=trust.certificate_sha256,
            )
        except SourceFailed as error:
            raise CallFailed(rtsp_failure(error.outcome.value, error.status)) from None
        except SourceInvalid:
            raise CallFailed(rtsp_failure(SourceOutcome.NOT_FOUND.value)) from None
        except MediaError as error:
            raise CallFailed(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code})) from None

    def _url(self, record: DeviceRecord, channel: Channel, stream_number: int) -> tuple[Source, str]:
        source = self._find(record.id)
        if source is None or not source.enabled:
            raise CallFailed(Failure(FailureCode.SOURCE_DISABLED, {}))
        known = next((one for one in source.channels if one.gb_id == channel.gb_id), None)
        # A source without a sub stream shows its main stream, as recorders do.
        profile = known and (known.profile(stream_number) or known.profile(0))
        if not profile:
            raise CallFailed(rtsp_failure(SourceOutcome.NOT_FOUND.value))
        return source, profile.url
