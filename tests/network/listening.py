"""One port for UDP and TCP, as devices expect it of a platform."""

from commonview.network.sip_endpoint import SipEndpoint


async def listen_on_both(endpoint: SipEndpoint, host: str = "127.0.0.1") -> int:
    """Listen on the same free port; UDP picks it, and where TCP is taken there UDP picks another."""
    for attempt in range(8):
        port = await endpoint.listen_udp(host, 0)
        try:
            await endpoint.listen_tcp(host, port)
        except OSError:
            if attempt == 7:
                raise
            continue
        return port
    raise AssertionError("unreachable")
