"""`commonview devices list|add|approve|refuse|ban|password`: the API of a running server, from a terminal.

Everything goes through the API under an account, so that it is decided and recorded as in the console.
"""

import argparse
import getpass
import json
import os
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from typing import Any

from commonview.foundation.errors import CommonviewError

_PASSWORD_ENV = "COMMONVIEW_PASSWORD"  # noqa: S105 - the name of a variable


class Refused(CommonviewError):
    """The server did not do it; the message is its own."""

    default_code = "refused"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb is the command's own name; what it works on follows."""
    verb = parser.prog.rpartition(" ")[2]
    parser.description = (
        f"Signs in as --user; the password is read from {_PASSWORD_ENV} or asked for.\n"
        "What is decided is recorded under that account."
    )
    parser.set_defaults(verb=verb)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the server")
    parser.add_argument("--user", required=True, help="an account with the right to manage devices")
    parser.add_argument("--totp", help="code of the second factor, when the account has one")
    if verb in ("add", "approve", "refuse", "password"):
        parser.add_argument("device", help="the device's id")
    if verb in ("add", "approve"):
        parser.add_argument("--name", help="what operators call it")
        parser.add_argument("--own-password", action="store_true", help="make a password for it, shown once")
    if verb == "ban":
        parser.add_argument("subject", choices=("device", "host", "network", "user_agent"))
        parser.add_argument("value")
        parser.add_argument("--hours", type=float, help="how long; without it, until lifted")
    if verb in ("refuse", "ban"):
        parser.add_argument("--reason", default="")


def run(arguments: argparse.Namespace) -> int:
    """Sign in, do it, sign out."""
    server = Server(arguments.url)
    password = os.environ.get(_PASSWORD_ENV) or getpass.getpass(f"Password of {arguments.user}: ")
    server.sign_in(arguments.user, password, arguments.totp)
    try:
        for line in _do(server, arguments):
            print(line)  # noqa: T201 - the command line speaks
    finally:
        server.call("DELETE", "/api/session")
    return 0


def _do(server: "Server", given: argparse.Namespace) -> list[str]:
    if given.verb == "list":
        return _listed(server)
    if given.verb == "refuse":
        server.call("POST", f"/api/admission/{given.device}/refuse", {"reason": given.reason})
        return [f"{given.device} is refused"]
    if given.verb == "ban":
        rule = {"subject": given.subject, "value": given.value, "reason": given.reason}
        if given.hours is not None:
            rule["duration_s"] = int(given.hours * 3600)
        made = server.call("POST", "/api/admission/rules", rule)
        return [
            f"banned {made['subject']} {made['value']} until {made['ends_at'] or 'lifted'} ({made['id']})"
        ]
    if given.verb == "password":
        made = server.call("POST", f"/api/devices/{given.device}/password")
    else:
        body = {"own_password": given.own_password} | ({"name": given.name} if given.name else {})
        if given.verb == "add":
            made = server.call("POST", "/api/devices", {**body, "device_id": given.device})
        else:
            made = server.call("POST", f"/api/admission/{given.device}/approve", body)
    lines = [f"{made['device_id']} may register"]
    if made["password"] is not None:
        lines.append(f"password, shown only now: {made['password']}")
    return lines


def _listed(server: "Server") -> list[str]:
    waiting = server.call("GET", "/api/admission")
    lines = [
        f"{one['device_id']}  {one['state']:8}  {one['address']}  {one['user_agent']}  "
        f"({one['attempts']} attempts)"
        for one in waiting["applications"]
    ]
    devices = server.call("GET", "/api/devices")["items"]
    lines += [f"{one['id']}  {one['state']:8}  {one['address'] or '-'}  {one['name']}" for one in devices]
    return lines or ["no devices yet"]


class Server:
    """One signed-in conversation with the API. Raises `Refused` with the server's own words."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise Refused(f"{url!r} is no http address")
        self._url = url.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._csrf = ""

    def sign_in(self, user: str, password: str, totp: str | None) -> None:
        """Open a session."""
        body = {"username": user, "password": password} | ({"totp": totp} if totp else {})
        self._csrf = self.call("POST", "/api/session", body)["csrf_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; the answer's JSON, None without a body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self._csrf}
        request = urllib.request.Request(  # noqa: S310 - http and https only, see __init__
            self._url + path, data=data, headers=headers, method=method
        )
        try:
            with self._opener.open(request, timeout=30) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(_said(error)) from None
        except urllib.error.URLError as error:
            raise Refused(f"cannot reach {self._url}: {error.reason}") from None
        return json.loads(content) if content else None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.code}"
