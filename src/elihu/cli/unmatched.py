"""What to say of filters that match nothing: names that no job and no task has."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from elihu.app import Elihu
from elihu.cli.known_names import KNOWN, Kind, newest

_KINDS: Final[tuple[Kind, ...]] = ("task", "queue", "tags", "template", "node")


async def unknown_names(app: Elihu, chosen: Mapping[str, Sequence[Any]]) -> list[str]:
    """A line for each name in the filters that nothing known has, with the nearest one."""
    lines = []
    for kind in _KINDS:
        names = [str(name) for name in chosen.get(kind, ())]
        known = await _known(app, kind) if names else set()
        lines += [
            f"no job of --{kind.removesuffix('s')} {name!r} is stored{_nearest(name, known)}"
            for name in names
            if name not in known
        ]
    return lines


async def _known(app: Elihu, kind: Kind) -> set[str]:
    """The known names of a kind, with those that only jobs still have."""
    known = await KNOWN[kind](app)
    if kind in {"template", "node"}:
        known |= {getattr(job, kind) for job in await newest(app)} - {None}
    return known


def _nearest(name: str, known: set[str]) -> str:
    bare = name.strip("*.")
    near = [each for each in sorted(known) if bare and bare in each]
    near = (near or get_close_matches(name, known, n=3))[:3]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
