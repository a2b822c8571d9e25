"""Errors as problem documents (RFC 9457), without anything that is not the caller's to know."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import elihu
from elihu import ElihuError

logger = logging.getLogger("elihu")

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "Bad request",
    401: "Sign-in needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    409: "Conflict",
    412: "Changed meanwhile",
    413: "Request too large",
    415: "Unsupported media type",
    421: "Wrong host",
    422: "Invalid values",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}
_STATUS: Final[Sequence[tuple[type[ElihuError], int]]] = (
    (elihu.RecordChanged, 412),
    (elihu.ChangedMeanwhile, 412),
    (elihu.NameTaken, 409),
    (elihu.InvalidFields, 422),
    (elihu.UnknownTask, 422),
    (elihu.SignInRefused, 401),
    (elihu.TooManySignIns, 429),
    (elihu.TemplateExists, 409),
    (elihu.TemplateInactive, 409),
    (elihu.UserExists, 409),
    (elihu.LastAdmin, 409),
    (elihu.DuplicateCron, 409),
    (elihu.IdentifierTaken, 409),
    (elihu.InvalidTransition, 409),
    (elihu.UniqueConflict, 409),
    (elihu.NotRunnable, 409),
    (elihu.SecretError, 409),
    (elihu.InvalidOption, 422),
    (elihu.InvalidArguments, 422),
    (elihu.InvalidCron, 422),
    (elihu.InvalidSchema, 422),
    (elihu.InvalidContext, 422),
    (elihu.CronNotFound, 404),
    (elihu.CronError, 409),
    (elihu.DataRefused, 422),
    (elihu.DatabaseError, 503),
    (elihu.SchemaError, 503),
)
_RETRY_AFTER: Final = 2


class Problem(HTTPException):
    """An error of the API itself."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.errors = errors
        self.more = dict(more or {})


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document. ``code`` is the name of the error's class."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if code:
        body["code"] = code
    if errors:
        body["errors"] = [{"field": field, "detail": text} for field, text in errors]
    return JSONResponse(
        body | dict(more or {}), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def status_of(error: ElihuError) -> int:
    """The status that says what kind of error it is."""
    found = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return 404 if found == 500 and isinstance(error, LookupError) else found


def of_error(error: ElihuError) -> Response:
    """The problem document of one of Elihu's errors."""
    status = status_of(error)
    headers: dict[str, str] = {}
    detail = _clean(str(error))
    if status == 500:
        logger.error("the API failed: %s", error, exc_info=error)
        detail = "the server failed; its log says why"
    elif status == 503:
        logger.warning("the API could not answer: %s", error)
        headers["Retry-After"] = str(_RETRY_AFTER)
        detail = "the database does not answer, or its tables are not those of this version"
    elif isinstance(error, elihu.TooManySignIns):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(
        status, detail, code=type(error).__name__, errors=_fields(error), headers=headers
    )


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""
    app.add_exception_handler(ElihuError, _on_elihu_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_failure)


async def _on_elihu_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ElihuError)
    return of_error(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    """The fields and what is expected; what was given may be a secret."""
    assert isinstance(error, RequestValidationError)
    found = [(_place(each), str(each["msg"])) for each in error.errors()]
    return problem(422, "some values are not as expected", code="InvalidRequest", errors=found)


def _place(found: Mapping[str, Any]) -> str:
    """The field of a value that is not as expected, or which part of the request is not."""
    part, *path = found["loc"]
    if found["type"] == "json_invalid" or not path:
        return str(part)
    return ".".join(str(each) for each in path)


async def _on_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Problem):
        return problem(
            error.status_code, error.detail, errors=error.errors, headers=error.headers,
            more=error.more,
        )  # fmt: skip
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _on_failure(_request: Request, _error: Exception) -> Response:
    """The error itself is logged by the server; the caller learns nothing of it."""
    return problem(500, "the server failed; its log says why", code="InternalError")


def _fields(error: ElihuError) -> Sequence[tuple[str, str]]:
    if isinstance(error, elihu.InvalidFields):
        return [(field, _clean(detail)) for field, detail in error.errors]
    if isinstance(error, elihu.InvalidContext):
        return [(f"context{place}", _clean(text)) for place, text in error.problems]
    if isinstance(error, elihu.InvalidArguments | elihu.InvalidCron) and error.field:
        return [(error.field, _clean(str(error)))]
    if isinstance(error, elihu.InvalidOption):
        field, colon, detail = str(error).partition(": ")
        return [(field, _clean(detail))] if colon and field.isidentifier() else []
    return []


def _clean(text: str) -> str:
    """The text as a JSON document can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()
