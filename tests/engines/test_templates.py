"""Templates as rows."""

from dataclasses import asdict, replace
from typing import Any

from elihu.engines.protocol import Engine
from elihu.engines.protocol.templates import Place
from elihu.template import NewTemplate

KIND = NewTemplate(
    code="invoice",
    name="Send an invoice",
    task="billing.invoice",
    queue="mail",
    schema='{"type": "object", "properties": {"é": {"const": "\\u20ac"}}}',
    default_timeout=3600.5,
    default_max_attempts=4,
)


def kind(code: str, **fields: Any) -> NewTemplate:
    return replace(KIND, code=code, **fields)


async def test_a_template_comes_back_as_it_was_stored(engine: Engine, other: Engine) -> None:
    stored = await engine.add_template(KIND, "r1")
    assert stored is not None
    assert stored == await other.template("invoice")
    assert {
        name: value for name, value in asdict(KIND).items() if name != "schema"
    }.items() <= asdict(stored).items()
    assert stored.schema == {"type": "object", "properties": {"é": {"const": "€"}}}
    assert stored.revision == "r1"
    assert stored.inserted_at == stored.updated_at
    assert await engine.template("other") is None


async def test_a_code_is_taken_once(engine: Engine) -> None:
    await engine.add_template(KIND, "r1")
    assert await engine.add_template(replace(KIND, name="Another"), "r2") is None
    found = await engine.template("invoice")
    assert found is not None
    assert (found.name, found.revision) == (KIND.name, "r1")


async def test_a_change_counts_while_nobody_else_changed_it(engine: Engine, other: Engine) -> None:
    await engine.add_template(KIND, "r1")
    new = kind(
        "invoice",
        name="New",
        default_timeout=None,
        active=False,
        display_order=-3,
        synced="s",
        schema="{}",
    )
    changed = await engine.change_template(new, "r2", "r1")
    assert changed is not None
    assert changed == await other.template("invoice")
    assert (changed.name, changed.default_timeout, changed.active, changed.display_order) == (
        "New",
        None,
        False,
        -3,
    )
    assert (changed.synced, changed.revision, changed.schema) == ("s", "r2", {})
    assert changed.updated_at >= changed.inserted_at
    assert await other.change_template(KIND, "r3", "r1") is None
    assert await engine.change_template(kind("other"), "r3", "r1") is None
    assert await engine.template("invoice") == changed


async def test_removal(engine: Engine) -> None:
    await engine.add_template(KIND, "r1")
    assert await engine.remove_template("invoice") is True
    assert await engine.remove_template("invoice") is False
    assert await engine.template("invoice") is None


async def test_pages_by_display_order_and_code(engine: Engine) -> None:
    for code, order, active in (("b", 1, True), ("a", 1, False), ("d", 0, True), ("c", -1, True)):
        await engine.add_template(kind(code, display_order=order, active=active), code)

    async def codes(active: bool | None = None, after: Place | None = None, limit: int = 9) -> str:
        return "".join(found.code for found in await engine.find_templates(active, after, limit))

    assert await codes() == "cdab"
    assert await codes(active=True) == "cdb"
    assert await codes(active=False) == "a"
    assert await codes(limit=2) == "cd"
    assert await codes(after=Place(0, "d")) == "ab"
    assert await codes(after=Place(1, "a")) == "b"
    assert await codes(active=True, after=Place(0, "a"), limit=1) == "d"
    assert await codes(after=Place(0, "gone")) == "ab"


async def test_schemas_of_several(engine: Engine) -> None:
    await engine.add_template(KIND, "r1")
    await engine.add_template(kind("other", schema="{}"), "r2")
    assert await engine.schemas(["invoice", "other", "gone"]) == {
        "invoice": KIND.schema,
        "other": "{}",
    }
    assert await engine.schemas(["gone"]) == {}
