"""``elihu queues``: look at queues and steer them."""

from collections.abc import Callable
from typing import Any

import click

from elihu.cli.group import Group
from elihu.cli.options import Given, given, shared

_NODE = click.option(
    "--node",
    metavar="ID",
    help="One node alone, as long as it lives: its id, or the beginning of it.",
)


@click.group(cls=Group)
@shared
def queues() -> None:
    """Look at queues, and change how nodes serve them.

    A change is stored, and holds for every node, those that start later too. With
    --node it is for that node.
    """


@queues.command("ls")
@click.option(
    "--node", metavar="ID", help="The queues that this node serves: its id, or the beginning of it."
)
@shared
@given
def ls(options: Given, /, node: str | None) -> None:
    """List queues: what is stored of each, its jobs, and who serves it.

    LIMIT is the stored number of jobs at a time on each node; SLOTS are those of all
    nodes that serve the queue.
    """
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json, print_table

    found = run(open_app(options), lambda app: app.queues.list(node=node))
    if options.json:
        print_json(
            [
                {**field_values(queue), "nodes": [field_values(each) for each in queue.nodes]}
                for queue in found
            ]
        )
        return
    rows: list[tuple[object, ...]] = []
    for queue in found:
        state = "stopped" if queue.stopped else "paused" if queue.paused else None
        paused = sum(each.paused for each in queue.nodes)
        nodes = f"{len(queue.nodes)}{f' ({paused} paused)' if paused else ''}"
        slots = sum(each.limit for each in queue.nodes)
        rows.append(
            (
                queue.name,
                state,
                queue.limit,
                f"{queue.available:,}",
                f"{queue.executing:,}",
                nodes,
                f"{slots:,}",
            )
        )
    print_table(("queue", "stored", "limit", "available", "executing", "nodes", "slots"), rows)


@queues.command("scale")
@click.argument("name", metavar="NAME")
@click.argument("limit", metavar="LIMIT", type=int)
@_NODE
@shared
@given
def scale(options: Given, /, name: str, limit: int, node: str | None) -> None:
    """Let each node run at most LIMIT jobs of a queue at a time, from now on.

    Running jobs are left alone.
    """
    _steer(
        options,
        name,
        node,
        f"scaled to {limit:,}",
        lambda app: app.queues.scale(name, limit, node=node),
    )


@queues.command("start")
@click.argument("name", metavar="NAME")
@click.argument("limit", metavar="[LIMIT]", type=int, required=False)
@_NODE
@shared
@given
def start(options: Given, /, name: str, limit: int | None, node: str | None) -> None:
    """Serve a queue, which may be new, with LIMIT jobs at a time on each node.

    Nodes that were started with --queues do not serve it, unless --node names one. A
    queue that was stopped needs no LIMIT.
    """
    _steer(options, name, node, "started", lambda app: app.queues.start(name, limit, node=node))


def _verb(verb: str, past: str, line: str) -> None:
    """Add a verb that takes a queue's name."""

    @queues.command(verb, help=line)
    @click.argument("name", metavar="NAME")
    @_NODE
    @shared
    @given
    def command(options: Given, /, name: str, node: str | None) -> None:
        _steer(options, name, node, past, lambda app: getattr(app.queues, verb)(name, node=node))


def _steer(
    options: Given, name: str, node: str | None, past: str, change: Callable[[Any], Any]
) -> None:
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import cell, print_json

    run(open_app(options), change)
    if options.json:
        print_json({"queue": name, "node": node, "done": past})
        return
    click.echo(f"queue {cell(name)} {past}{f' on node {node}' if node else ''}")


_verb("pause", "paused", "Fetch no more jobs of a queue; running jobs go on.")
_verb("resume", "resumed", "Fetch jobs of a queue again.")
_verb("stop", "stopped", "Serve a queue no longer; running jobs are finished.")
