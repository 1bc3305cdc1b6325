"""First set-up: the one moment in which somebody without an account may change something."""

from anyio import to_thread
from fastapi import APIRouter, Request

from commonview.api.access import client_address
from commonview.api.context import Context
from commonview.api.schemas import Items
from commonview.api.schemas_security import AccountOut, FirstAccount, SetupRequest, SetupState
from commonview.security import NewAccount

router = APIRouter(prefix="/api/setup", tags=["setup"])


@router.get("")
def setup_state(context: Context) -> SetupState:
    """Whether the first accounts are still to be made."""
    return SetupState(needed=context.security.setup_needed())


@router.post("", status_code=201)
async def set_up(body: SetupRequest, request: Request, context: Context) -> Items[AccountOut]:
    """Make the first accounts with the one-time link's token: all of them, or none."""
    accounts = await to_thread.run_sync(
        lambda: context.security.set_up(
            body.token.get_secret_value(),
            _new(body.administrator),
            operator=_new(body.operator) if body.operator is not None else None,
            supervisor=_new(body.supervisor) if body.supervisor is not None else None,
            client_address=client_address(request),
        ),
        limiter=context.hashing,
    )
    return Items(items=[AccountOut.model_validate(account) for account in accounts])


def _new(account: FirstAccount) -> NewAccount:
    return NewAccount(
        username=account.username,
        display_name=account.display_name,
        password=account.password.get_secret_value(),
    )
