"""Who answers for a dialog: requests inside it go to its owner first (RFC 3261 12.2, RFC 5057)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonview.network.sip_exchange import ServerTransaction
    from commonview.wire.sip.dialog import Dialog

DialogHandler = Callable[["ServerTransaction"], bool]
"""Takes a request inside its dialog and answers it; False when it is none of its business."""


class DialogOwners:
    """The handlers of dialogs. What nobody owns, or its owner does not want, goes the way of other requests.

    A dialog carries its handler, so nothing is left behind when the core forgets it. Before there is a dialog
    a Call-ID of our own making stands for it: a NOTIFY may overtake the answer to its SUBSCRIBE (RFC 6665
    4.1.2.4), and some devices answer with tags of their own invention.
    """

    def __init__(self) -> None:
        self.expected: dict[str, DialogHandler] = {}

    def __len__(self) -> int:
        return len(self.expected)

    def own(self, dialog: Dialog, handler: DialogHandler) -> None:
        """Let `handler` have the requests inside `dialog`, until it ends or another takes it over."""
        dialog.owner = handler

    def disown(self, dialog: Dialog) -> None:
        """Nobody answers for `dialog` any more."""
        dialog.owner = None

    def expect(self, call_id: str, handler: DialogHandler) -> None:
        """Let `handler` have requests with a Call-ID that we chose ourselves, until `forget`.

        Never for a Call-ID that a peer chose: two peers may choose the same.
        """
        self.expected[call_id] = handler

    def forget(self, call_id: str) -> None:
        """End `expect`; an unknown Call-ID is no error."""
        self.expected.pop(call_id, None)

    def take(self, transaction: ServerTransaction) -> bool:
        """Offer a request to the owner of its dialog; True when it was taken."""
        dialog = transaction.dialog
        owner = dialog.owner if dialog is not None else None
        if owner is None:
            owner = self.expected.get(transaction.request.headers.first["Call-ID"])
        return callable(owner) and bool(owner(transaction))
