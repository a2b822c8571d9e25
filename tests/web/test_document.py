"""The OpenAPI document: a client that is made from it works, and the server keeps to it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI

from elihu.accounts.roles import Role

PROGRAM = Path(__file__).with_name("served_program.py")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance"
)


class Client:
    """A client made from the document: a method for each operation, whose answers must fit
    their schemas.
    """

    def __init__(self, document: dict[str, Any], http: httpx.AsyncClient) -> None:
        self._http = http
        self._document = document
        self._operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    async def __call__(self, name: str, body: Any = None, /, **given: Any) -> Any:
        """Call an operation with its parameters."""
        method, path, operation = self._operations[name]
        query = {}
        for parameter in operation.get("parameters", []):
            value = given.pop(parameter["name"], None)
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(value))
            elif parameter["in"] == "query" and value is not None:
                query[parameter["name"]] = value
        assert not given, f"{name} has no parameter {given}"
        answer = await self._http.request(method, path, params=query, json=body)
        described = operation["responses"][str(answer.status_code)]
        kind = answer.headers.get("content-type", "").split(";")[0]
        if answer.status_code == 204:
            return None
        schema = described["content"][kind]["schema"]
        whole = {"components": self._document["components"], **schema}
        jsonschema_rs.validator_for(whole).validate(answer.json())
        assert answer.is_success, answer.text
        return answer.json()


async def test_a_client_made_from_the_document_works(
    web: FastAPI, client: httpx.AsyncClient
) -> None:
    call = Client((await client.get("/api/openapi.json")).json(), client)
    environment = await call("environments_create_environment", {"name": "production"})
    command = await call(
        "commands_create_command", {"name": "greet", "shell_command": "echo hello"}
    )
    cron = await call("crons_create_cron", {"name": "hourly", "expression": "0 * * * *"})
    schedule = {
        "command_id": command["id"],
        "environment_ids": [environment["id"]],
        "cron_ids": [cron["id"]],
    }
    await call("schedules_create_schedule", schedule)
    run = await call("commands_run_command", {}, id=command["id"])
    assert (await call("runs_get_run", id=run["id"]))["status"] == "queued"
    assert (await call("runs_list_runs", status=["queued"], limit=5))["items"][0] == run
    await call("runs_kill_run", id=run["id"])
    jobs = await call("system_list_jobs", state="cancelled", system="true")
    assert [job["task"] for job in jobs["items"]] == ["commands.run"]
    assert (await call("system_get_job", id=jobs["items"][0]["id"]))["state"] == "cancelled"
    for name in (
        "overview_get_overview", "overview_get_ahead", "system_count_jobs", "system_list_queues",
        "system_list_nodes", "system_failures", "audit_list_changes", "events_list_events",
    ):  # fmt: skip
        await call(name)
    await call("commands_change_command", {"enabled": False}, id=command["id"])
    await call("schedules_list_schedules", command_id=command["id"])


async def test_the_document_is_made_in_a_thread(web: FastAPI, client: httpx.AsyncClient) -> None:
    """It takes so long that streams and a node in the same event loop would wait."""
    threads = []

    def make() -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {"paths": {}}

    web.openapi = make  # type: ignore[method-assign]
    await client.get("/api/openapi.json")
    await client.get("/api/docs")
    assert len(threads) == 2
    assert threading.main_thread() not in threads


def test_every_operation_has_a_name_a_text_and_errors(web: FastAPI) -> None:
    names = set()
    for path, methods in web.openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"] not in names
            names.add(operation["operationId"])
            assert operation["description"], f"{method} {path}"
            assert {"401", "403", "422"} <= operation["responses"].keys()


@pytest.fixture
def served(database_url: str, schema: str) -> Iterator[dict[str, Any]]:
    """A server on a real port."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), database_url, schema], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.terminate()
        process.stdout.close()


@pytest.mark.more
@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", Role)
def test_the_server_keeps_to_the_document_with_each_role(
    served: dict[str, Any], tmp_path: Path, role: Role
) -> None:
    places = [
        f'[[operations]]\ninclude-path-regex = "^/api/{path}/"\nparameters = '
        f'{{ "path.id" = "{thing}", "path.name" = "{thing}", "path.code" = "{thing}" }}\n'
        for path, thing in served["things"].items()
    ]
    (tmp_path / "schemathesis.toml").write_text("\n".join(places))
    (tmp_path / "served.json").write_text(json.dumps(served))
    url = f"http://127.0.0.1:{served['port']}/api/openapi.json"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", url,
            "--header", f"Authorization: Bearer {served['keys'][role]}",
            "--phases", "coverage,fuzzing" if role is Role.ADMIN else "fuzzing",
            "--max-examples", "3", "--checks", CHECKS,
            "--exclude-path-regex", "stream$", "--continue-on-failure", "--seed", "1",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {
            "SCHEMATHESIS_HOOKS": "tests.web.fresh_things", "PYTHONPATH": str(PROGRAM.parents[2])
        },
    )  # fmt: skip
    assert done.returncode == 0, f"{role}: {done.stdout[-6_000:]}"
