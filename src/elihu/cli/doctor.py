"""``elihu doctor``."""

from dataclasses import asdict

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options


@click.command()
@click.option("--strict", is_flag=True, help="Warnings count as failures.")
@shared_options
@pass_shared_options
def doctor(options: SharedOptions, /, strict: bool) -> None:
    """Check the database, the nodes and the queues.

    Exits with 0 if all is well, and with 1 if a check failed, as a probe needs it.
    """
    from elihu.cli.diagnosis import diagnose
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json, print_table

    findings = run(open_app(options), diagnose)
    bad = {"failed", "warning"} if strict else {"failed"}
    healthy = not any(finding.state in bad for finding in findings)
    if options.json:
        print_json({"healthy": healthy, "checks": [asdict(finding) for finding in findings]})
    else:
        print_table(
            ("check", "state", "found"),
            [(finding.check, finding.state, finding.text) for finding in findings],
        )
        for finding in findings:
            if finding.advice is not None:
                click.echo(f"elihu: {finding.check}: {finding.advice}", err=True)
    if not healthy:
        raise click.exceptions.Exit(1)
