"""``app.templates``: job kinds in the database, and jobs of these kinds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, Unpack, get_args
from uuid import uuid4

from elihu.api.template_fields import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_TIMEOUT,
    Checks,
    TemplateFields,
    as_text,
)
from elihu.api.template_sync import Synced, declared, is_as_declared, is_changed_by_hand
from elihu.clients.client import Client
from elihu.duration import Duration
from elihu.engines.protocol import Engine
from elihu.engines.protocol.templates import Place
from elihu.errors import (
    ChangedMeanwhile,
    InvalidContext,
    InvalidOption,
    TemplateExists,
    TemplateInactive,
    UnknownTemplate,
)
from elihu.job import Job, NewJob
from elihu.json_schema import compiled
from elihu.options import check_range
from elihu.task import MOST_ATTEMPTS, Registry, check_bool, check_meta, check_name, check_timeout
from elihu.template import NewTemplate, Template, TemplatePage

When = Literal["queued", "wake", "now"]

LONGEST_PAGE: Final = 1_000


class Templates:
    """Verbs on templates. A template is a row with a task and the JSON Schema of its
    context.
    """

    def __init__(
        self, client: Callable[[], Client], registry: Registry, max_args: Callable[[], int]
    ) -> None:
        self._client = client
        self._registry = registry
        self._max_args = max_args
        self._checks = Checks(registry)

    async def create(
        self,
        code: str,
        name: str,
        task: str,
        schema: Mapping[str, Any],
        default_timeout: Duration | None = DEFAULT_TIMEOUT,
        default_max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        active: bool = True,
        display_order: int = 0,
        *,
        queue: str | None = None,
    ) -> Template:
        """Store a template. ``default_timeout`` None means no limit. ``queue`` defaults
        to the task's queue, or to ``default`` if this app does not know the task.

        Raises ``TemplateExists``, ``InvalidSchema``, ``InvalidOption``, and
        ``UnknownTask`` if this app has tasks but not this one.
        """
        check = self._checks.field
        known = self._checks.task(task)
        new = NewTemplate(
            code=check_name("code", code),
            name=check("name", name),
            task=known,
            queue=self._checks.queue_of(known) if queue is None else check("queue", queue),
            schema=check("schema", schema),
            default_timeout=check("default_timeout", default_timeout),
            default_max_attempts=check("default_max_attempts", default_max_attempts),
            active=check("active", active),
            display_order=check("display_order", display_order),
        )
        stored = await (await self._client().ready(make=True)).add_template(new, _revision())
        if stored is None:
            raise TemplateExists(f"template {code!r} exists already")
        return stored

    async def update(
        self, code: str, *, expected: Template | None = None, **changes: Unpack[TemplateFields]
    ) -> Template:
        """Change fields of a template. A new task changes the queue too if this app
        knows the task.

        ``expected`` is the template as it was read: where it has changed since, nothing is
        changed, and ``ChangedMeanwhile`` is raised. Raises ``UnknownTemplate``, and what
        ``create`` raises for a field, too.
        """
        if not changes:
            raise InvalidOption(f"template {code!r}: expected fields to change, got none")
        checked = {name: self._checks.field(name, value) for name, value in changes.items()}
        if "task" in checked and checked["task"] in self._registry:
            checked.setdefault("queue", self._checks.queue_of(checked["task"]))
        engine = await self._client().writing("templates.update()")
        while True:
            template = await self._get(engine, code)
            if expected is not None and template.revision != expected.revision:
                raise ChangedMeanwhile(f"template {code!r}")
            changed = replace(_as_new(template), **checked)
            if stored := await engine.change_template(changed, _revision(), template.revision):
                return stored

    async def delete(self, code: str, *, expected: Template | None = None) -> None:
        """Delete a template. Its jobs that have not started are discarded when a node
        fetches them. ``expected`` is as for ``update``. Raises ``UnknownTemplate``.
        """
        engine = await self._client().writing("templates.delete()")
        known = None if expected is None else expected.revision
        if not await engine.remove_template(check_name("code", code), known):
            if expected is not None and await engine.template(code) is not None:
                raise ChangedMeanwhile(f"template {code!r}")
            raise UnknownTemplate(code)

    async def get(self, code: str) -> Template:
        """The template. Raises ``UnknownTemplate``."""
        return await self._get(await self._engine(), code)

    async def list(
        self, active: bool | None = None, *, after: str | None = None, limit: int = 25
    ) -> TemplatePage:
        """A page of at most ``limit`` (1 to 1,000) templates by display order and code:
        active, inactive or both.

        ``after`` is the previous page's ``next``.
        """
        check_range("limit", limit, 1, LONGEST_PAGE)
        wanted = None if active is None else check_bool("active", active)
        found = await (await self._engine()).find_templates(
            wanted, None if after is None else _place(after), limit + 1
        )
        last = found[limit - 1] if len(found) > limit else None
        return TemplatePage(
            found[:limit], None if last is None else f"{last.display_order}:{last.code}"
        )

    async def sync(self, force: bool = False) -> Synced:
        """Create and update templates from the tasks declared with ``template=``. Their
        schemas come from the signatures.

        Templates that a person made or changed are left unchanged, unless ``force``.
        ``active`` and ``display_order`` are never changed. Raises ``InvalidTask`` for
        arguments that no schema describes, and ``InvalidOption`` for a code that two
        tasks declare; nothing is stored then.
        """
        forced = check_bool("force", force)
        new = declared(self._registry)
        engine = await self._client().ready(make=True)
        synced = Synced()
        for each in new:
            getattr(synced, await self._sync_one(engine, each, force=forced)).append(each.code)
        return synced

    async def enqueue(
        self,
        code: str,
        context: Mapping[str, Any],
        identifier: str | None = None,
        *,
        priority: int | None = None,
        timeout: Duration | None = None,
        max_attempts: int | None = None,
        run: When = "queued",
    ) -> Job:
        """Store a job of this kind. ``context`` are the keywords of its task.

        ``identifier`` is the caller's own name for the job, unique among stored jobs.
        ``timeout`` and ``max_attempts`` default to the template's. ``run`` says when it
        starts: ``"queued"`` announces nothing, so nodes find the job at their next poll;
        ``"wake"`` announces it; ``"now"`` puts it at the front of its queue, before other
        jobs of priority 0, and announces it.

        Raises ``UnknownTemplate``, ``TemplateInactive``, ``InvalidContext``,
        ``IdentifierTaken``, ``InvalidOption`` and, where this app knows the task,
        ``InvalidArguments``; nothing is stored then.
        """
        if run not in get_args(When):
            raise InvalidOption(f"run: expected one of {', '.join(get_args(When))}, got {run!r}")
        if run == "now" and priority is not None:
            raise InvalidOption(f'priority: expected none with run="now", got {priority!r}')
        engine = await self._client().ready(make=True)
        template = await self._get(engine, code)
        if not template.active:
            raise TemplateInactive(f"template {code!r} is inactive: it takes no new jobs")
        options = {
            "timeout": template.default_timeout
            if timeout is None
            else check_timeout("timeout", timeout)
        }
        attempts = (
            template.default_max_attempts
            if max_attempts is None
            else check_range("max_attempts", max_attempts, 1, MOST_ATTEMPTS)
        )
        new = self._build(
            template,
            self._fitting(template, context),
            0 if run == "now" else priority,
            attempts,
            options,
        )
        new = replace(
            new,
            template=template.code,
            identifier=None if identifier is None else check_name("identifier", identifier),
            notify=run != "queued",
        )
        return await self._client().insert(await _at_front(engine, new) if run == "now" else new)

    def _fitting(self, template: Template, context: Mapping[str, Any]) -> str:
        """The context as JSON text. Raises ``InvalidContext``."""
        try:
            value, text = check_meta("context", context, self._max_args())
        except InvalidOption as error:
            raise InvalidContext(template.code, [("", str(error))]) from error
        text = text or "{}"
        if problems := compiled(as_text(template.schema)).problems(value, len(text)):
            raise InvalidContext(template.code, problems)
        return text

    def _build(
        self,
        template: Template,
        text: str,
        priority: int | None,
        max_attempts: int,
        options: Mapping[str, Any],
    ) -> NewJob:
        if template.task not in self._registry:
            new = NewJob(
                task=template.task,
                args=text,
                queue=template.queue,
                priority=0 if priority is None else priority,
            )
            return _with_options(
                replace(
                    new,
                    priority=check_range("priority", new.priority, 0, 9),
                    max_attempts=max_attempts,
                ),
                options,
            )
        task = self._registry.get(template.task)
        chosen = task.options.priority if priority is None else priority
        using = task.using(queue=template.queue, priority=chosen, max_attempts=max_attempts)
        return _with_options(using.build_as_written(text), options)

    async def _sync_one(self, engine: Engine, new: NewTemplate, *, force: bool) -> str:
        """Create or update one template. Returns a field name of ``Synced``."""
        while True:
            template = await engine.template(new.code)
            if template is None:
                if await engine.add_template(new, _revision()):
                    return "created"
                continue
            if is_as_declared(template, new):
                return "unchanged"
            if is_changed_by_hand(template) and not force:
                return "kept"
            changed = replace(new, active=template.active, display_order=template.display_order)
            if await engine.change_template(changed, _revision(), template.revision):
                return "updated"

    async def _get(self, engine: Engine, code: str) -> Template:
        template = await engine.template(check_name("code", code))
        if template is None:
            raise UnknownTemplate(code)
        return template

    async def _engine(self) -> Engine:
        return await self._client().ready()


async def _at_front(engine: Engine, new: NewJob) -> NewJob:
    """The job, due before the first job of its queue. It expires by its real time."""
    front = await engine.front(new.queue)
    earlier = (front.now - front.before_all).total_seconds()
    return replace(
        new, run_at=front.before_all, expires=None if new.expires is None else new.expires + earlier
    )


def _with_options(new: NewJob, options: Mapping[str, Any]) -> NewJob:
    return replace(
        new, options=json.dumps((json.loads(new.options) if new.options else {}) | dict(options))
    )


def _as_new(template: Template) -> NewTemplate:
    names = NewTemplate.__slots__
    values = {name: getattr(template, name) for name in names if name != "schema"}
    return NewTemplate(schema=as_text(template.schema), **values)


def _place(after: str) -> Place:
    order, _, code = after.partition(":") if isinstance(after, str) else ("", "", "")
    try:
        return Place(
            check_range("after", int(order), -(2**31), 2**31 - 1), check_name("after", code)
        )
    except ValueError as error:
        raise InvalidOption(f"after: expected the previous page's next, got {after!r}") from error


def _revision() -> str:
    return uuid4().hex
