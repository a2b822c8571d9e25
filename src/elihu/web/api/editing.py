"""Things that people edit: the same five routes for each kind, with versions and audit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path, Request, Response
from pydantic import BaseModel

from elihu import RecordChanged
from elihu.accounts import audit
from elihu.accounts.roles import Role
from elihu.web.api.changes import IfMatch, changed, version_tag, wanted_version
from elihu.web.api.paging import Page
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor
from elihu.web.context import Context, context_of

HIDDEN: Final = "hidden"
_SECRETS: Final = frozenset({"secret"})

RecordId = Annotated[UUID, Path(alias="id")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of thing: its word, the module of its rules, what is shown of it, and the
    fields of a new one and of a change. ``needs_host`` is whether its rules take the host.
    """

    name: str
    rules: ModuleType
    shown: Callable[[Any], BaseModel]
    shown_type: type[BaseModel]
    created: type[BaseModel]
    change: type[BaseModel]
    needs_host: bool = False

    def arguments(self, context: Context, *values: Any) -> tuple[Any, ...]:
        """The positional arguments of a rule after its session."""
        return (context.host, *values) if self.needs_host else values


def shown_page(kind: Kind, items: Sequence[Any], following: UUID | None) -> dict[str, Any]:
    """A page of these."""
    return Page[Any](
        items=[kind.shown(item).model_dump() for item in items],
        next=None if following is None else str(following),
    ).model_dump()


def add_routes(resource: Resource, kind: Kind) -> None:
    """The routes that store, show, change and delete one."""

    async def create(request: Request, response: Response, actor: CurrentActor, given: Any) -> Any:
        context = context_of(request)
        values = given.model_dump(exclude_unset=True)
        async with context.sessions.begin() as session:
            record = await kind.rules.create(session, *kind.arguments(context), **values)
            shown = kind.shown(record)
            await audit.record(
                session, actor, f"{kind.name}.add", kind.name, object_id=record.id,
                object_name=_name(record), after=_plain(shown, values),
            )  # fmt: skip
        response.headers["ETag"] = version_tag(record.version)
        await context.app.topics.announce(kind.name)
        return shown

    async def get(request: Request, response: Response, record_id: RecordId) -> Any:
        async with context_of(request).sessions.read() as session:
            record = await kind.rules.get(session, record_id)
            response.headers["ETag"] = version_tag(record.version)
            return kind.shown(record)

    async def change(
        request: Request,
        response: Response,
        actor: CurrentActor,
        record_id: RecordId,
        given: Any,
        if_match: IfMatch = None,
    ) -> Any:
        context, version = context_of(request), wanted_version(if_match)
        values = given.model_dump(exclude_unset=True)
        try:
            async with context.sessions.begin() as session:
                before = kind.shown(await kind.rules.get(session, record_id))
                record = await kind.rules.update(
                    session, *kind.arguments(context, record_id), version=version, **values
                )
                shown = kind.shown(record)
                await audit.record(
                    session, actor, f"{kind.name}.change", kind.name, object_id=record.id,
                    object_name=_name(record), before=_plain(before, values, before=True),
                    after=_plain(shown, values),
                )  # fmt: skip
        except RecordChanged as error:
            raise await _lost(kind, context, record_id, given) from error
        response.headers["ETag"] = version_tag(record.version)
        await context.app.topics.announce(kind.name)
        return shown

    async def delete(
        request: Request, actor: CurrentActor, record_id: RecordId, if_match: IfMatch = None
    ) -> None:
        context, version = context_of(request), wanted_version(if_match)
        try:
            async with context.sessions.begin() as session:
                record = await kind.rules.get(session, record_id)
                before, name = kind.shown(record), _name(record)
                await kind.rules.delete(session, record_id, version=version)
                await audit.record(
                    session, actor, f"{kind.name}.delete", kind.name, object_id=record_id,
                    object_name=name, before=_plain(before, {}),
                )  # fmt: skip
        except RecordChanged as error:
            raise await _lost(kind, context, record_id, None) from error
        await context.app.topics.announce(kind.name)

    for function, about, model in (
        (create, "Store", kind.created),
        (get, "Show", None),
        (change, "Change", kind.change),
        (delete, "Delete", None),
    ):
        article = "an" if kind.name[0] in "aeiou" else "a"
        function.__doc__ = f"{about} {article} {kind.name}."
        function.__name__ = f"{function.__name__}_{kind.name}"
        if model is not None:
            function.__annotations__["given"] = model
    resource.post(role=Role.EDIT, status_code=201, response_model=kind.shown_type)(create)
    resource.get("/{id}", response_model=kind.shown_type)(get)
    resource.patch("/{id}", response_model=kind.shown_type)(change)
    resource.delete("/{id}", status_code=204)(delete)


async def _lost(
    kind: Kind, context: Context, record_id: UUID, given: BaseModel | None
) -> Exception:
    """The answer to an update of something that another user has changed."""
    async with context.sessions.read() as session:
        current = kind.shown(await kind.rules.get(session, record_id))
    values = given.model_dump(mode="json", exclude_unset=True) if given is not None else {}
    return changed(current, _masked(values))


def _plain(shown: BaseModel, given: Mapping[str, Any], *, before: bool = False) -> dict[str, Any]:
    """What an audit row says: what is shown, and that a secret was given."""
    values = shown.model_dump(mode="json", exclude={"version", "created_at", "updated_at"})
    for name in _SECRETS & given.keys():
        values[name] = "before" if before else given[name] and HIDDEN
    return values


def _masked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: HIDDEN if name in _SECRETS else value for name, value in values.items()}


def _name(record: Any) -> str | None:
    name: str | None = getattr(record, "name", None)
    return name
