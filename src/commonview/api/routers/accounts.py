"""Accounts, managed by the security administrator."""

from typing import Annotated

from fastapi import APIRouter

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_security import AccountCreate, AccountOut, AccountUpdate
from commonview.security import Action, NewAccount

router = APIRouter(prefix="/api/accounts", tags=["accounts"])


@router.get("")
def list_accounts(
    context: Context, caller: Annotated[Caller, require(Action.ACCOUNT_READ)]
) -> Items[AccountOut]:
    """Every account."""
    accounts = context.security.accounts(caller.subject)
    return Items(items=[AccountOut.model_validate(account) for account in accounts])


@router.post("", status_code=201)
def create_account(
    body: AccountCreate, context: Context, caller: Annotated[Caller, require(Action.ACCOUNT_MANAGE)]
) -> AccountOut:
    """A new account; roles that would both grant and use are refused together."""
    account = context.security.create_account(
        caller.subject,
        NewAccount(
            username=body.username,
            display_name=body.display_name,
            password=body.password.get_secret_value(),
            roles=frozenset(body.roles),
        ),
    )
    return AccountOut.model_validate(account)


@router.patch("/{account_id}")
def update_account(
    account_id: Id,
    body: AccountUpdate,
    context: Context,
    caller: Annotated[Caller, require(Action.ACCOUNT_MANAGE)],
) -> AccountOut:
    """Change an account. Disabling it, or taking a right away, ends its sessions or grants at once."""
    account = context.security.update_account(
        caller.subject,
        account_id,
        display_name=body.display_name,
        roles=frozenset(body.roles) if body.roles is not None else None,
        disabled=body.disabled,
        password=body.password.get_secret_value() if body.password is not None else None,
        remove_totp=body.remove_totp,
    )
    return AccountOut.model_validate(account)
