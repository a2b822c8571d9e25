"""``elihu.__all__``: what a user can import from the package."""

import ast
import inspect
from importlib import metadata
from pathlib import Path

import pytest

import elihu
from elihu import errors


@pytest.mark.parametrize("name", elihu.__all__)
def test_a_public_name_can_be_imported(name: str):
    assert getattr(elihu, name) is not None


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(elihu.__file__).read_text())
    names = [
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]

    assert sorted(name for name in names if name) == sorted(elihu.__all__)


def test_every_exception_is_public():
    raised = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.ElihuError)
    }

    assert raised <= set(elihu.__all__)


def test_errors_draws_the_whole_tree():
    drawn = [
        (line.index(word := line.strip("│├└─ ").split()[0]) // 4, word)
        for line in (errors.__doc__ or "").splitlines()
        if line.startswith(("ElihuError", "├", "│", "└"))
    ]
    path: list[str] = []
    parents = {}
    for depth, name in drawn:
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else "Exception"

    assert parents == {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.ElihuError)
    }


def test_the_version_is_that_of_the_package():
    assert elihu.__version__ == metadata.version("elihu")
    assert "__version__" in dir(elihu)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Elihuu'"):
        elihu.Elihuu  # noqa: B018
