"""Acts on other rooms, written into the audit log before they are done."""

from functools import partial

from anyio import to_thread

from commonview.api.access import Caller
from commonview.api.context import ApiContext


async def audited(
    context: ApiContext, caller: Caller, action: str, resource: str, **detail: str | int | float | bool | None
) -> None:
    """Record that `caller` is about to do `action`; when the log cannot take it, the act is refused.

    Raises:
        StorageUnavailable: nothing was recorded and nothing may be done.
    """
    await to_thread.run_sync(
        partial(context.security.record, caller.subject, action, resource, "requested", **detail)
    )
