"""Routes that say which role and which area they need, in code and in the document."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Depends

from elihu.accounts.roles import Role
from elihu.web.auth import needs

F = TypeVar("F", bound=Callable[..., Any])

ROLE: Final = "x-elihu-role"
AREA: Final = "x-elihu-area"
PUBLIC: Final = "public"
_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": _PROBLEM}
    for status, text in {
        400: "Bad request", 401: "Sign-in needed", 403: "Not allowed", 404: "Not found",
        405: "Method not allowed", 408: "Request too slow", 409: "Conflict",
        412: "Changed meanwhile", 413: "Too large", 415: "Not JSON", 421: "Wrong host",
        422: "Invalid values", 429: "Too many requests", 503: "Not available",
    }.items()
}  # fmt: skip


class Resource:
    """The routes below one path, all of one area."""

    def __init__(self, path: str, area: str) -> None:
        self.router = APIRouter(prefix=path, tags=[area])
        self._area = area

    def get(self, path: str = "", role: Role = Role.VIEW, **options: Any) -> Callable[[F], F]:
        """A route that reads."""
        return self._route("GET", path, role, options)

    def post(self, path: str = "", role: Role = Role.RUN, **options: Any) -> Callable[[F], F]:
        """A route that does something."""
        return self._route("POST", path, role, options)

    def patch(self, path: str = "", role: Role = Role.EDIT, **options: Any) -> Callable[[F], F]:
        """A route that changes some fields."""
        return self._route("PATCH", path, role, options)

    def delete(self, path: str = "", role: Role = Role.EDIT, **options: Any) -> Callable[[F], F]:
        """A route that deletes."""
        return self._route("DELETE", path, role, options)

    def _route(
        self, method: str, path: str, role: Role, options: dict[str, Any]
    ) -> Callable[[F], F]:
        def add(function: F) -> F:
            self.router.add_api_route(
                path,
                function,
                methods=[method],
                dependencies=[Depends(needs(role, self._area))],
                openapi_extra={ROLE: role.value, AREA: self._area},
                responses=ERRORS,
                operation_id=f"{self._area}_{function.__name__}",
                **options,
            )
            return function

        return add
