"""``elihu init``."""

from importlib.resources import files
from pathlib import Path

import click

from elihu.cli.group import Failure
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@shared_options
@pass_shared_options
def init(_options: SharedOptions, /, folder: Path) -> None:
    """Create a starter project.

    Writes tasks.py and elihu.toml to FOLDER (default: the working folder). Writes
    nothing if one of them exists.
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
                f"{folder.resolve()} already has {' and '.join(there)}; nothing was written"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in starter.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    click.echo(f"wrote {names} in {folder.resolve()}")
    click.echo("next steps in that folder:")
    click.echo("  elihu enqueue tasks.greet --args '[\"Ada\"]'")
    click.echo("  elihu up")
