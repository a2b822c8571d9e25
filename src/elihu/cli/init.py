"""``elihu init``."""

from importlib.resources import files
from pathlib import Path

import click

from elihu.cli.group import Failure
from elihu.cli.options import Given, given, shared


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@shared
@given
def init(_options: Given, /, folder: Path) -> None:
    """Write a starter project.

    It is two files, tasks.py and elihu.toml, in FOLDER or here. Nothing is written
    where one of them is there already.
    """
    starter = {
        file.name: file.read_text(encoding="utf-8")
        for file in files(__package__).joinpath("starter").iterdir()
        if file.is_file()
    }
    names = " and ".join(sorted(starter))
    try:
        if there := sorted(name for name in starter if (folder / name).exists()):
            raise Failure(
                f"expected a folder without {names}, got {folder.resolve()}, which has "
                f"{' and '.join(there)}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in starter.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    click.echo(f"wrote {names} in {folder.resolve()}")
    click.echo("next, in that folder:")
    click.echo("  elihu enqueue tasks.greet --args '[\"Ada\"]'")
    click.echo("  elihu up")
