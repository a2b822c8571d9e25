"""``elihu queues``."""

from collections.abc import Callable
from typing import Any

import click

from elihu.cli.complete import NamesOf
from elihu.cli.group import Group
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

_NODE = click.option(
    "--node",
    metavar="ID",
    shell_complete=NamesOf("node"),
    help="Change this node only, until it stops: its id or a prefix of it.",
)


@click.group(cls=Group)
@shared_options
def queues() -> None:
    """List queues and change how nodes serve them.

    A change is stored and applies to all nodes, including those that start later. With
    --node it applies to that node only.
    """


@queues.command("ls")
@click.option(
    "--node",
    metavar="ID",
    shell_complete=NamesOf("node"),
    help="Only queues that this node serves: its id or a prefix of it.",
)
@shared_options
@pass_shared_options
def ls(options: SharedOptions, /, node: str | None) -> None:
    """List queues with their stored settings, jobs and nodes.

    LIMIT is the stored number of concurrent jobs on each node. SLOTS is the sum over
    all nodes that serve the queue, and what follows a plus sign is how many claims may
    wait for them in the nodes.
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
        prefetch = sum(each.prefetch for each in queue.nodes)
        rows.append(
            (
                queue.name,
                state,
                queue.limit,
                f"{queue.available:,}",
                f"{queue.executing:,}",
                nodes,
                f"{slots:,}{f' + {prefetch:,}' if prefetch else ''}",
            )
        )
    print_table(("queue", "stored", "limit", "available", "executing", "nodes", "slots"), rows)


@queues.command("scale")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("queue"))
@click.argument("limit", metavar="LIMIT", type=int)
@_NODE
@shared_options
@pass_shared_options
def scale(options: SharedOptions, /, name: str, limit: int, node: str | None) -> None:
    """Set how many jobs of a queue each node runs concurrently.

    Running jobs are not interrupted.
    """
    _change(
        options,
        name,
        node,
        "scale",
        f"scaled to {limit:,}",
        lambda app: app.queues.scale(name, limit, node=node),
        limit=limit,
    )


@queues.command("start")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("queue"))
@click.argument("limit", metavar="[LIMIT]", type=int, required=False)
@_NODE
@shared_options
@pass_shared_options
def start(options: SharedOptions, /, name: str, limit: int | None, node: str | None) -> None:
    """Serve a queue with LIMIT concurrent jobs on each node.

    The queue may be new. A stopped queue needs no LIMIT. Nodes that were started with
    --queues do not serve it, unless --node names one.
    """
    _change(
        options,
        name,
        node,
        "start",
        "started",
        lambda app: app.queues.start(name, limit, node=node),
        limit=limit,
    )


def _verb(verb: str, past: str, line: str) -> None:
    """Add a command that takes the name of a queue."""

    @queues.command(verb, help=line)
    @click.argument("name", metavar="NAME", shell_complete=NamesOf("queue"))
    @_NODE
    @shared_options
    @pass_shared_options
    def command(options: SharedOptions, /, name: str, node: str | None) -> None:
        _change(
            options, name, node, verb, past, lambda app: getattr(app.queues, verb)(name, node=node)
        )


def _change(
    options: SharedOptions,
    name: str,
    node: str | None,
    verb: str,
    past: str,
    change: Callable[[Any], Any],
    **settings: Any,
) -> None:
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import cell, print_json

    facts = {"object_id": name, "object_name": name, "after": {"node": node, **settings}}
    unanswered = run(open_app(options), audited(f"queue.{verb}", change, lambda _: facts))
    if unanswered:
        nodes = ", ".join(map(cell, unanswered))
        click.echo(f"elihu: warning: no answer yet from the nodes {nodes}", err=True)
    if options.json:
        print_json({"queue": name, "node": node, "done": past})
        return
    click.echo(f"queue {cell(name)} {past}{f' on node {node}' if node else ''}")


_verb("pause", "paused", "Pause a queue. Running jobs continue.")
_verb("resume", "resumed", "Resume a paused queue.")
_verb("stop", "stopped", "Stop serving a queue. Running jobs finish first.")
