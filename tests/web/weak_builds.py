"""Builds of the application from which one defence was taken, for the tests of attacks."""

import gzip
import importlib
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette import responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from elihu.accounts import audit, sign_in, signed_in
from elihu.accounts.models import SignedIn
from elihu.accounts.roles import Actor, Role
from elihu.accounts.tokens import digest
from elihu.orm.sessions import Sessions
from elihu.web import auth, guard, streams
from elihu.web.pages import session as session_pages
from elihu.web.pages import static_files
from tests.web.conftest import Clients


class Site(NamedTuple):
    """What an attacker, and who set the server up, can reach."""

    web: FastAPI
    clients: Clients
    sessions: Sessions
    patch: pytest.MonkeyPatch


def module(name: str) -> Any:
    return importlib.import_module(f"elihu.web.api.{name}")


def no_host_check(site: Site) -> None:
    site.patch.setattr(guard, "_is_allowed", lambda _given, _hosts: True)
    site.patch.setattr(auth, "host_name", lambda _host: "localhost")


def no_origin_check(site: Site) -> None:
    site.patch.setattr(guard.Guard, "_forged", lambda *_: None)


def no_kind_check(site: Site) -> None:
    no_origin_check(site)
    site.patch.setattr(auth, "_is_simple", lambda _request: False)


def no_token_check(site: Site) -> None:
    site.patch.setattr(auth, "check_form", lambda *_: None)


def plain_cookie(site: Site) -> None:
    def keep(_request: Any, response: Response, token: str) -> None:
        response.set_cookie(auth.PLAIN_COOKIE, token)

    site.patch.setattr(module("session"), "keep_session", keep)


def kept_session(site: Site) -> None:
    """A sign-in makes no new session: that of the cookie is the new user's."""

    async def adopt(session: AsyncSession, token: str) -> bool:
        newest = await session.scalar(select(SignedIn).order_by(SignedIn.created_at.desc()))
        planted = await session.get(SignedIn, digest(token))
        assert newest
        assert planted
        planted.user_id = newest.user_id
        return True

    site.patch.setattr(signed_in, "end", adopt)


def no_sign_in_limit(site: Site) -> None:
    async def counted(*_: object) -> None:
        return None

    site.patch.setattr(sign_in, "_counted", counted)


def everybody_is_admin(site: Site) -> None:
    async def find(_connection: object) -> Actor:
        return Actor("nobody", Role.ADMIN, "loopback")

    site.patch.setattr(auth, "find_actor", find)


def all_roles_are_one(site: Site) -> None:
    site.patch.setattr(Role, "allows", lambda _self, _role: True)


def files_by_path(site: Site) -> None:
    """A name may have slashes, and a file is read by its path."""

    class Folder(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            content = (static_files._FOLDER / name).read_bytes()
            return content, gzip.compress(content), "digest", "text/plain"

    site.patch.setattr(static_files, "_files", Folder)

    async def get_file(request: Request) -> Response:
        return await static_files.get_file(request, request.path_params["name"])

    loose = Route("/static/{name:path}", get_file)
    site.patch.setattr(site.web.router, "routes", [loose, *site.web.router.routes])


def headers_as_given(site: Site) -> None:
    """The path goes into the header as it was given."""
    site.patch.setattr(session_pages, "safe_path", lambda path: path)
    site.patch.setattr(responses, "quote", lambda text, **_: text)


def patient(site: Site) -> None:
    site.patch.setattr(guard, "BODY_TIMEOUT", 3_600.0)


def any_size(site: Site) -> None:
    site.patch.setattr(guard, "LARGEST_BODY", 10**9)


def any_rate(site: Site) -> None:
    site.patch.setattr(guard.Rates, "wait", lambda _self, _address: 0.0)


def any_number(site: Site) -> None:
    site.patch.setattr(streams, "PER_USER", 10_000)


def secrets_are_texts(site: Site) -> None:
    site.patch.setattr(module("editing"), "_SECRETS", frozenset())


def audited_secrets(site: Site) -> None:
    before = module("editing")._plain

    def plain(shown: Any, given: Any, **options: Any) -> dict[str, Any]:
        added = {} if options else given
        return {**before(shown, given, **options), **added}

    site.patch.setattr(module("editing"), "_plain", plain)
    site.patch.setattr(audit, "_SECRET", frozenset())


def errors_that_tell(site: Site) -> None:
    async def failed(_request: Any, error: Exception) -> Response:
        return Response(str(error), status_code=500)

    site.web.exception_handlers[Exception] = failed
    site.web.middleware_stack = None
