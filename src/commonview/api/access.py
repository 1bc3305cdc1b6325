"""Who may call what. Every route carries exactly one `Require`, or stands on the short public list.

The list is an allow-list: `check_guards` refuses to build an app with a route that has neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from commonview.api.context import context_of
from commonview.foundation.settings import IpNetwork
from commonview.security import (
    Action,
    Forbidden,
    NotSignedIn,
    Reason,
    Session,
    Subject,
    decide,
)

PUBLIC: Final = frozenset(
    {
        ("GET", "/api/health"),  # probes; says "ok" and nothing else
        ("GET", "/api/openapi.json"),  # the description of the API holds no data
        ("GET", "/api/setup"),  # the console must know whether to show set-up or sign-in
        ("POST", "/api/setup"),  # guarded by the one-time token
        ("POST", "/api/session"),  # signing in
        ("POST", "/api/device-upload/{token}"),  # a camera's pictures; the address is the one-time secret
        ("PUT", "/api/device-upload/{token}"),  # the same, for cameras that PUT
        ("GET", "/metrics"),  # Prometheus has no session; guarded by a token of its own, off without one
    }
)
"""The reviewed list of operations without a session. A test holds its own copy."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER: Final = "X-CSRF-Token"


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated asker of one request. `token` is the session's secret."""

    subject: Subject
    session: Session
    token: str


class Require:
    """The dependency that lets a request through.

    With an action, the caller's roles must permit it; that a running grant covers it is decided by the
    service that acts. With None, every signed-in account may call: the service shows only what is one's own.
    """

    def __init__(self, action: Action | None) -> None:
        self.action = action

    def __call__(self, request: Request) -> Caller:
        """Synchronous, so that it runs in a worker thread: the session is looked up in the database.

        Raises:
            NotSignedIn: no session.
            Forbidden: `csrf_token_wrong`, or the reason of `decide`.
        """
        caller = authenticate(request)
        if request.method not in SAFE_METHODS:
            context_of(request).security.check_csrf(caller.token, request.headers.get(CSRF_HEADER))
        if self.action is not None:
            permitted(caller.subject, self.action)
        return caller


def require(action: Action | None) -> Any:
    """`Depends(Require(action))`, for route signatures."""
    return Depends(Require(action))


def authenticate(request: Request) -> Caller:
    """The holder of the request's session cookie. Blocks for the database. Raises: NotSignedIn."""
    context = context_of(request)
    token = request.cookies.get(context.cookie_name)
    if not token:
        raise NotSignedIn("sign in first")
    subject, session = context.security.authenticate(token, client_address=client_address(request))
    return Caller(subject, session, token)


def permitted(subject: Subject, action: Action) -> None:
    """Whether the roles permit `action` at all. Raises: Forbidden."""
    decision = decide(subject, action)
    if not decision.allow and decision.reason is not Reason.GRANT_REQUIRED:
        raise Forbidden(
            f"your roles do not permit {action.value}", code=decision.reason.value, action=action.value
        )


def client_address(request: Request) -> str:
    """The address of whoever asks, for records and rate limits.

    The peer's own; behind a trusted proxy, the last address in X-Forwarded-For that is not one itself.
    What stands further left was written by the client and proves nothing.
    """
    proxies = context_of(request).proxies
    address = _as_ipv4(request.client.host if request.client is not None else "")
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    while proxies and forwarded and _within(address, proxies):
        said = forwarded.pop().strip()
        if _parsed(said) is None:
            break
        address = _as_ipv4(said)
    return address


def _as_ipv4(address: str) -> str:
    """An IPv4 client of a socket that listens on `::` (`::ffff:192.0.2.1`) by its own address."""
    parsed = _parsed(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return address if mapped is None else str(mapped)


def _within(address: str, networks: tuple[IpNetwork, ...]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def guard_of(route: APIRoute) -> Require | None:
    """The `Require` of a route, wherever in its dependencies; None for public routes."""
    guards = [call for call in _calls(route.dependant) if isinstance(call, Require)]
    return guards[0] if guards else None


def check_guards(routes: Iterable[APIRoute]) -> None:
    """Refuse routes that are neither guarded nor public, and public ones that are guarded."""
    for route in routes:
        for method in route.methods or ():
            public = (method, route.path) in PUBLIC
            if public == (guard_of(route) is not None):
                raise RuntimeError(f"{method} {route.path} must be either public or guarded")


def _calls(dependant: Dependant) -> Iterable[object]:
    for child in dependant.dependencies:
        yield child.call
        yield from _calls(child)


SignedIn = Annotated[Caller, require(None)]
