"""The certificate the video outlet shows: read at start, and read again when its files change."""

import asyncio
import logging
from pathlib import Path

from anyio import to_thread

from commonview.foundation.errors import StartupError
from commonview.foundation.settings import Settings
from commonview.media import MediaError, MediaNode, TlsIdentity

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
FILE_MAX_BYTES = 256 * 1024
"""A chain of certificates and a key are some kilobytes each."""

_Signature = tuple[tuple[int, int, int], ...]


def read_identity(settings: Settings) -> TlsIdentity | None:
    """What `media_tls_certificate` and `media_tls_key` hold; None without them.

    Raises:
        StartupError: naming the file that cannot be read.
    """
    if settings.media_tls_certificate is None or settings.media_tls_key is None:
        return None
    try:
        return _read(settings.media_tls_certificate, settings.media_tls_key)
    except (OSError, ValueError) as error:
        raise unusable(str(error)) from None


def unusable(why: str) -> StartupError:
    """The sentence for a certificate or key that TLS for viewers cannot work with."""
    return StartupError(
        f"viewers cannot be served over TLS ({why}); change media_tls_certificate or media_tls_key "
        "(--media-tls-certificate, --media-tls-key; COMMONVIEW_MEDIA_TLS_CERTIFICATE, "
        "COMMONVIEW_MEDIA_TLS_KEY)",
        code="media_tls_unusable",
    )


class CertificateWatch:
    """Has the outlet show a renewed certificate without a restart; one that cannot be used changes nothing.

    A renewal writes two files, one after the other. What does not fit yet is looked at again each time.
    """

    def __init__(self, certificate: Path, key: Path, node: MediaNode) -> None:
        self._files = (certificate, key)
        self._node = node
        self._shown = _signature(self._files)
        self._refused: _Signature = ()

    async def run(self) -> None:
        """Look every minute, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await to_thread.run_sync(self.look)

    def look(self) -> bool:
        """Whether another certificate is shown from now on."""
        found = _signature(self._files)
        if found == self._shown:
            return False
        try:
            self._node.exchange_certificate(_read(*self._files))
        except (OSError, ValueError, MediaError) as error:
            if found != self._refused:
                log.warning("the renewed certificate of the video outlet is not shown: %s", error)
            self._refused = found
            return False
        log.info("the video outlet shows the renewed certificate in %s", self._files[0])
        self._shown = found
        return True


def _read(certificate: Path, key: Path) -> TlsIdentity:
    return TlsIdentity(_text(certificate), _text(key))


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(FILE_MAX_BYTES + 1)
    if len(content) > FILE_MAX_BYTES:
        raise ValueError(f"{path} is larger than {FILE_MAX_BYTES} bytes")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        # Certificates in DER, most likely. The octets themselves may be those of a key.
        raise ValueError(f"{path} is no PEM file") from None


def _signature(files: tuple[Path, ...]) -> _Signature:
    found = []
    for path in files:
        try:
            about = path.stat()
        except OSError:
            return ()
        found.append((about.st_ino, about.st_size, about.st_mtime_ns))
    return tuple(found)
