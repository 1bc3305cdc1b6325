"""Every refusal in one shape: `{"error": {"code", "message", "params"}}`, and never a traceback."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from commonview.foundation.errors import CommonviewError

log = logging.getLogger(__name__)

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 415: "not_json"}


def error_response(
    status: int, code: str, message: str, params: dict[str, str | int | float] | None = None
) -> JSONResponse:
    """One refusal as a response."""
    params = params or {}
    headers = {}
    if status == 429 and "retry_after_s" in params:
        headers["Retry-After"] = str(params["retry_after_s"])
    body = {"error": {"code": code, "message": message, "params": params}}
    return JSONResponse(body, status_code=status, headers=headers)


def install_error_handlers(app: FastAPI) -> None:
    """Teach `app` to answer errors in our shape."""
    app.add_exception_handler(CommonviewError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _known(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CommonviewError)  # noqa: S101 - registered for nothing else
    if error.http_status >= 500:
        log.error("refused: %s (%s)", error.message, error.code)
    return error_response(error.http_status, error.code, error.message, error.params)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    problems = error.errors()
    # A name that is not known explains the name that is missing.
    first = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    # What was sent is never repeated: it may hold a password.
    field = ".".join(str(part) for part in first["loc"] if part != "body")[:200] or "body"
    code = "unknown_field" if first["type"] == "extra_forbidden" else "invalid_request"
    problem = "is not known" if code == "unknown_field" else str(first["msg"]).removeprefix("Value error, ")
    return error_response(422, code, f"{field}: {problem}", {"field": field, "problem": str(first["type"])})


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    code = _HTTP_CODES.get(error.status_code, "request_refused")
    response = error_response(error.status_code, code, str(error.detail))
    response.headers.update(error.headers or {})
    return response
