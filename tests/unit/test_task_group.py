"""Groups of tasks: declared without an app, included in one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from elihu.errors import DuplicateTask, InvalidOption, TaskError, TaskNotBound
from elihu.job import Job, JobState, NewJob
from elihu.relay import Relay
from elihu.task.registry import Registry
from elihu.task.task import Task
from elihu.triggers import Tasks


class FakeEnqueuer:
    """Says yes to everything."""

    max_args = 1_000
    closed = False

    def enqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        now = datetime.now(UTC)
        return Job(
            id=1,
            state=JobState.AVAILABLE,
            queue=new.queue,
            task=new.task,
            args={},
            meta={},
            tags=(),
            priority=0,
            attempt=0,
            max_attempts=1,
            unique_key=None,
            inserted_at=now,
            scheduled_at=now,
        )

    async def aenqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        return self.enqueue(new)

    def submitted(self, job: Job, /) -> Relay[Any]:
        raise NotImplementedError


def fill(group: Tasks, *names: str) -> list[Task[[], None]]:
    def fn() -> None: ...

    return [group.task(fn, name=name) for name in names]


def test_prefix_comes_before_names_but_not_before_aliases() -> None:
    group = Tasks(prefix="mail.")

    @group.task(name="send", aliases=["old"])
    def fn() -> None: ...

    assert (fn.name, fn.aliases) == ("mail.send", ("old",))


def test_prefix_comes_before_default_names_too() -> None:
    namespace: dict[str, object] = {"group": Tasks(prefix="p."), "__name__": "shop"}
    exec("@group.task\ndef send(): ...", namespace)
    task = namespace["send"]
    assert isinstance(task, Task)
    assert task.name == "p.shop.send"


@pytest.mark.parametrize("prefix", ["a\n", "x" * 201, 3, None])
def test_prefix_is_a_text(prefix: object) -> None:
    with pytest.raises(InvalidOption, match="Tasks\\(prefix=\\)"):
        Tasks(prefix=prefix)  # type: ignore[arg-type]


def test_joining_binds_all() -> None:
    group, host, registry = Tasks(), FakeEnqueuer(), Registry()
    tasks = fill(group, "a", "b")
    with pytest.raises(TaskNotBound):
        tasks[0].enqueue()
    group.join(host, registry)
    assert registry.names() == ["a", "b"]
    assert [task.enqueue().task for task in tasks] == ["a", "b"]
    assert list(group) == tasks
    assert "a, b" in repr(group)


def test_tasks_declared_after_joining_go_to_the_app_too() -> None:
    group, host, registry = Tasks(), FakeEnqueuer(), Registry()
    group.join(host, registry)
    (late,) = fill(group, "late")
    assert registry.names() == ["late"]
    assert late.enqueue().task == "late"
    with pytest.raises(DuplicateTask):
        fill(group, "late")


def test_twice_in_one_app() -> None:
    group, host, registry = Tasks(), FakeEnqueuer(), Registry()
    fill(group, "a")
    group.join(host, registry)
    with pytest.raises(DuplicateTask, match="a second time"):
        group.join(host, registry)


def test_a_name_that_the_app_has_leaves_the_group_outside() -> None:
    one, two, host, registry = Tasks(), Tasks(), FakeEnqueuer(), Registry()
    fill(one, "a")
    fresh, _ = fill(two, "b", "a")
    one.join(host, registry)
    with pytest.raises(DuplicateTask):
        two.join(host, registry)
    assert registry.names() == ["a"]
    with pytest.raises(TaskNotBound):
        fresh.enqueue()


def test_twice_in_one_group() -> None:
    group = Tasks()
    fill(group, "a")
    with pytest.raises(DuplicateTask):
        fill(group, "a")


def test_a_second_app_waits_for_the_first_to_close() -> None:
    group, first, second, registry = Tasks(), FakeEnqueuer(), FakeEnqueuer(), Registry()
    (task,) = fill(group, "a")
    group.join(first, Registry())
    with pytest.raises(TaskError, match="close the other app first"):
        group.join(second, registry)
    assert len(registry) == 0
    assert task.enqueuer is first
    first.closed = True
    group.join(second, registry)
    assert task.enqueuer is second
