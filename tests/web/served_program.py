"""A server of the API on a real port, with a key of each role and one thing of each kind.

Usage: served_program.py DATABASE_URL SCHEMA. Prints a JSON object: port, keys, ids.
"""

import asyncio
import json
import socket
import sys
from datetime import timedelta
from typing import Any

import httpx
import uvicorn

from elihu import Elihu
from elihu.accounts import keys, users
from elihu.accounts.roles import COMMAND_LINE, Role
from elihu.commands.secrets import new_key
from elihu.orm.sessions import Sessions
from elihu.web import create_app, guard


async def made_keys(app: Elihu) -> dict[str, str]:
    """A key of each role."""
    sessions = Sessions(app)
    async with sessions.begin() as session:
        user = await users.add(session, COMMAND_LINE, "ann", "admin", None)
        await users.add(session, COMMAND_LINE, "second", "admin", None)
        found = {}
        for role in Role:
            _, found[role.value] = await keys.add(
                session, COMMAND_LINE, user, name=role.value, role=role.value,
                lifetime=timedelta(days=1),
            )  # fmt: skip
    await sessions.aclose()
    return found


async def made_things(client: httpx.AsyncClient) -> dict[str, Any]:
    """The ids of one thing of each kind, by their paths."""

    async def post(path: str, **values: Any) -> Any:
        answer = await client.post(f"/api/{path}", json=values)
        assert answer.is_success, answer.text
        return answer.json()

    environment = await post("environments", name="production")
    command = await post("commands", name="greet", shell_command="echo hello")
    cron = await post("crons", name="hourly", expression="0 * * * *")
    found: dict[str, Any] = {
        "environments": environment["id"],
        "commands": command["id"],
        "crons": cron["id"],
    }
    schedule = await post(
        "schedules", command_id=command["id"], environment_ids=[environment["id"]],
        cron_ids=[cron["id"]],
    )  # fmt: skip
    found["schedules"] = schedule["id"]
    found["variables"] = (await post("variables", name="REGION", value="eu"))["id"]
    found["alerts"] = (
        await post("alerts", name="mail", on=["failed"], channel="email", target="a@example.org")
    )["id"]
    found["runs"] = (await post(f"commands/{command['id']}/run"))["id"]
    await post("system/templates", code="kind", name="Kind", task="t", schema={"type": "object"})
    found["system/templates"] = "kind"
    job = await post("system/templates/kind/enqueue", context={})
    found["system/jobs"] = str(job["id"])
    await post("system/crons", name="entry", cron="0 * * * *", task="t")
    found["system/crons"] = "entry"
    found["system/queues"] = "default"
    return found


async def main(url: str, schema: str) -> None:
    guard.Rates.wait = lambda self, address: 0.0  # type: ignore[method-assign]
    async with Elihu(url, schema=schema, secret_key=new_key()) as app:
        await app.migrate("commands")
        await app.migrate("accounts")
        bound = socket.socket(proto=socket.IPPROTO_TCP)  # which asyncio looks at, to not wait
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        web = create_app(app)
        web.openapi()  # it is kept: the first reader need not wait for it
        server = uvicorn.Server(uvicorn.Config(web, log_level="warning"))
        serving = asyncio.create_task(server.serve([bound]))
        port, texts = bound.getsockname()[1], await made_keys(app)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {texts['admin']}"},
            timeout=30,
        ) as client:
            things = await made_things(client)
        print(json.dumps({"port": port, "keys": texts, "things": things}), flush=True)
        await serving


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
