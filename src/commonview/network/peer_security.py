"""How each peer proves itself: what the settings say, unless an operator said otherwise of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.network.quirks import (
    DigestAlgorithm,
    DigestQop,
    Flag,
    NoteWish,
    note_fired,
    peer_profile,
)
from commonview.network.sip_integrity import NotePolicies, NotePolicy
from commonview.wire.sip.digest import DigestPolicy

if TYPE_CHECKING:
    from commonview.network.directory import DeviceRecord, Directory


class PeerSecurity:
    """Asked at every challenge and every message, so nearly free for peers nothing was said of."""

    def __init__(self, directory: Directory, digest: DigestPolicy, notes: NotePolicies) -> None:
        """``digest`` and ``notes``: what the settings say."""
        self._directory = directory
        self._digest = digest
        self._notes = notes

    def digest_of(self, device_id: str) -> DigestPolicy | None:
        """What a device is challenged with; None for what everybody is."""
        record = self._overridden(device_id)
        if record is None:
            return None
        profile = peer_profile(record)
        algorithms, qop = self._digest.algorithms, self._digest.qop
        if profile.digest_algorithm is not DigestAlgorithm.AS_SET:
            note_fired(record, Flag.DIGEST_ALGORITHM)
            algorithms = (profile.digest_algorithm.value,)
        if profile.digest_qop is not DigestQop.AS_SET:
            note_fired(record, Flag.DIGEST_QOP)
            qop = profile.digest_qop is DigestQop.AUTH
        return DigestPolicy(algorithms, qop)

    def note_of(self, peer_id: str) -> NotePolicy:
        """What a peer's Note is worth."""
        record = self._overridden(peer_id)
        wish = NoteWish.AS_SET if record is None else peer_profile(record).note
        if record is None or wish is NoteWish.AS_SET:
            return self._notes.of(peer_id)
        note_fired(record, Flag.NOTE)
        return NotePolicy(wish.value)

    def _overridden(self, peer_id: str) -> DeviceRecord | None:
        """The record of a peer an operator said something of."""
        record = self._directory.get(peer_id)
        return record if record is not None and record.quirk_overrides else None
