"""Hooks of schemathesis: each call that deletes something, or works on a user or a key, gets
one of its own. What others use stays, and so does the user whose key is used.

The file ``served.json`` in the working directory has what ``served_program.py`` prints.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import schemathesis

AREAS: Final = ("/api/users/{id}", "/api/keys")


@lru_cache(maxsize=1)
def admin() -> httpx.Client:
    """A client of the server."""
    found = json.loads(Path("served.json").read_text())
    return httpx.Client(
        base_url=f"http://127.0.0.1:{found['port']}/api",
        headers={"Authorization": f"Bearer {found['keys']['admin']}"},
        timeout=30,
    )


def stored(path: str, **values: Any) -> Any:
    """A new thing."""
    answer = admin().post(f"/{path}", json=values)
    assert answer.is_success, f"{path}: {answer.text}"
    return answer.json()


def new_template() -> str:
    """The code of a new template."""
    made = stored("system/templates", code=name(), name="n", task="t", schema={"type": "object"})
    return str(made["code"])


def name() -> str:
    return f"n{uuid4().hex}"


def new_command() -> str:
    """The id of a new command."""
    return str(stored("commands", name=name(), shell_command="true")["id"])


def new_user() -> str:
    """The id of a new user."""
    return str(stored("users", name=name(), role="view")["id"])


MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "/api/environments/{id}": lambda: stored("environments", name=name())["id"],
    "/api/commands/{id}": lambda: stored("commands", name=name(), shell_command="true")["id"],
    "/api/crons/{id}": lambda: stored("crons", name=name(), expression="0 3 * * *")["id"],
    "/api/schedules/{id}": lambda: stored("schedules", command_id=new_command())["id"],
    "/api/variables/{id}": lambda: stored("variables", name=name(), value="v")["id"],
    "/api/alerts/{id}": lambda: stored(
        "alerts", name=name(), on=["failed"], channel="email", target="a@example.org"
    )["id"],
    "/api/system/jobs/{id}": lambda: stored(
        f"system/templates/{new_template()}/enqueue", context={}
    )["id"],
    "/api/system/crons/{name}": lambda: stored(
        "system/crons", name=name(), cron="0 3 * * *", task="t"
    )["name"],
    "/api/system/templates/{code}": new_template,
    "/api/users/{id}": new_user,
    "/api/users/{id}/sessions": new_user,
    "/api/users/{id}/sign_out": new_user,
    "/api/keys/{id}": lambda: stored("keys", user_id=new_user(), name="k", role="view")["id"],
}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put a new thing into the path, and a new user into the body of a new key."""
    path = case.operation.path
    if case.method != case.operation.method.upper():
        return  # a method that the path has not
    if case.method == "DELETE" or path.startswith(AREAS):
        if path in MAKERS:
            (parameter,) = case.path_parameters
            case.path_parameters[parameter] = MAKERS[path]()
        elif "{" in path:
            raise AssertionError(f"no new thing is made for {case.method} {path}")
    if path == "/api/keys" and isinstance(case.body, dict) and "user_id" in case.body:
        case.body["user_id"] = new_user()
