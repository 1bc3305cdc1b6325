"""Signing in and out, and what one may change about one's own account."""

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from commonview.api.access import SignedIn, client_address
from commonview.api.context import ApiContext, Context
from commonview.api.schemas_security import (
    AccountOut,
    PasswordChange,
    SessionOut,
    SignInRequest,
    TotpBegin,
    TotpConfirm,
    TotpEnrolmentOut,
)
from commonview.security import Session, Subject, actions_of
from commonview.security import SignedIn as SignedInAnswer

router = APIRouter(prefix="/api", tags=["session"])

_USER_AGENT_MAX = 200


@router.post("/session")
async def sign_in(body: SignInRequest, request: Request, response: Response, context: Context) -> SessionOut:
    """Sign in; the session comes as an HttpOnly cookie, the CSRF token in the answer."""
    signed_in = await to_thread.run_sync(_sign_in, body, request, context, limiter=context.hashing)
    response.set_cookie(
        context.cookie_name,
        signed_in.token,
        httponly=True,
        samesite="strict",
        secure=context.secure_cookie,
        path="/",
    )
    return await to_thread.run_sync(
        _session_out, context, signed_in.subject, signed_in.session, signed_in.csrf_token
    )


@router.get("/session")
def current_session(caller: SignedIn, context: Context) -> SessionOut:
    """Who is signed in, with which rights, until when."""
    return _session_out(context, caller.subject, caller.session, context.security.csrf_token(caller.token))


@router.delete("/session", status_code=204)
def sign_out(caller: SignedIn, response: Response, context: Context) -> None:
    """End this session, everywhere and at once."""
    context.security.sign_out(caller.subject)
    response.delete_cookie(
        context.cookie_name, path="/", httponly=True, samesite="strict", secure=context.secure_cookie
    )


@router.post("/account/password", status_code=204)
def change_password(body: PasswordChange, caller: SignedIn, context: Context) -> None:
    """Change one's own password; one's other sessions end."""
    context.security.change_password(
        caller.subject, body.current_password.get_secret_value(), body.new_password.get_secret_value()
    )


@router.post("/account/totp")
def begin_totp(body: TotpBegin, caller: SignedIn, context: Context) -> TotpEnrolmentOut:
    """Begin to use one-time codes: the secret for the authenticator, in force once confirmed."""
    enrolment = context.security.begin_totp(caller.subject, body.password.get_secret_value())
    return TotpEnrolmentOut(secret=enrolment.secret, uri=enrolment.uri)


@router.post("/account/totp/confirm", status_code=204)
def confirm_totp(body: TotpConfirm, caller: SignedIn, context: Context) -> None:
    """Put the new one-time-code secret in force by showing that the authenticator has it."""
    context.security.confirm_totp(caller.subject, body.totp.get_secret_value())


@router.delete("/account/totp", status_code=204)
def remove_totp(body: TotpBegin, caller: SignedIn, context: Context) -> None:
    """Stop using one-time codes."""
    context.security.remove_totp(caller.subject, body.password.get_secret_value())


def _sign_in(body: SignInRequest, request: Request, context: ApiContext) -> SignedInAnswer:
    return context.security.sign_in(
        body.username,
        body.password.get_secret_value(),
        body.totp.get_secret_value() if body.totp is not None else None,
        client_address=client_address(request),
        user_agent=request.headers.get("user-agent", "")[:_USER_AGENT_MAX],
    )


def _session_out(context: ApiContext, subject: Subject, session: Session, csrf_token: str) -> SessionOut:
    account = context.security.account(subject, subject.account_id)
    return SessionOut(
        account=AccountOut.model_validate(account),
        actions=sorted(actions_of(subject.roles)),
        csrf_token=csrf_token,
        created_at=session.created_at,
        ends_at=session.ends_at,
    )
