"""What to say of filters that match nothing: names that no job and no task has."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from elihu.app import Elihu

READ: Final = 1_000
"""So many of the newest jobs are read for the names of tasks, tags and templates."""


async def unknown_names(app: Elihu, chosen: Mapping[str, Sequence[Any]]) -> list[str]:
    """A line for each name in the filters that nothing known has, with the nearest one."""
    named = {
        filter_: [str(name) for name in names]
        for filter_, names in chosen.items()
        if filter_ in {"task", "queue", "tags", "template", "node"}
    }
    if not named:
        return []
    known = await _known(app)
    return [
        f"no job of --{filter_.removesuffix('s')} {name!r} is stored"
        f"{_nearest(name, known[filter_])}"
        for filter_, names in named.items()
        for name in names
        if name not in known[filter_]
    ]


async def _known(app: Elihu) -> dict[str, set[str]]:
    jobs = (await app.jobs.list(limit=READ)).items
    nodes = await app.nodes.list()
    return {
        "task": {*app.task_names(), *(job.task for job in jobs)},
        "queue": {*app.config.queues, *await app.jobs.counts()},
        "tags": {tag for job in jobs for tag in job.tags},
        "template": {job.template for job in jobs if job.template is not None},
        "node": {*(node.id for node in nodes), *(job.node for job in jobs if job.node)},
    }


def _nearest(name: str, known: set[str]) -> str:
    bare = name.strip("*.")
    near = [each for each in sorted(known) if bare and bare in each]
    near = (near or get_close_matches(name, known, n=3))[:3]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
