"""The plugin in a pytest of its own: with pytest-asyncio, with anyio, without either."""

from importlib.metadata import EntryPoint
from pathlib import Path
from tomllib import loads

import pytest

from elihu.testing import AppUnderTest, databases, plugin

pytest_plugins = ["pytester"]
LOADED = (AppUnderTest, databases)
"""Loaded before an inner pytest runs, which forgets the modules that it loads itself."""
ROOT = Path(__file__).parents[2]

TASKS = """
    import pytest
    from elihu import Tasks

    tasks = Tasks(prefix="shop.")

    @tasks.task(name="pay")
    async def pay(order: int) -> int:
        return 2 * order

    @pytest.fixture(autouse=True)
    def shop(elihu_app):
        elihu_app.include(tasks)
"""


AUTO = ("-pno:anyio", "--asyncio-mode=auto")
STRICT = ("-pno:anyio", "--asyncio-mode=strict")
NEITHER = ("-pno:anyio", "-pno:asyncio")


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the tests without plugins that others installed, and fail for any warning."""
    scope = "" if "-pno:asyncio" in options else "asyncio_default_fixture_loop_scope = function"
    pytester.makeini(f"[pytest]\n{scope}")
    without = [f"-pno:{name}" for name in ("elihu", "xdist", "django", "hypothesispytest")]
    return pytester.runpytest_inprocess(
        "-pelihu.testing.plugin",
        *without,
        "-Werror",
        *options,
    )


@pytest.mark.parametrize(
    ("options", "mark"),
    [
        (AUTO, ""),
        (STRICT, "@pytest.mark.asyncio"),
        (("-pno:asyncio",), "@pytest.mark.anyio"),
    ],
    ids=["asyncio auto", "asyncio strict", "anyio"],
)
def test_asynchronous_tests(pytester: pytest.Pytester, options: tuple[str, ...], mark: str) -> None:
    pytester.makepyfile(
        TASKS
        + f"""
    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    {mark}
    async def test_drain(elihu_app):
        await pay.aenqueue(7)
        await elihu_app.assert_enqueued(pay, args={{"order": 7}})
        assert (await elihu_app.drain()).completed == 1
        assert await elihu_app.perform(pay, 7) == 14

    {mark}
    async def test_another_has_tables_of_its_own(elihu_app):
        await elihu_app.refute_enqueued()
    """
    )
    run(pytester, *options).assert_outcomes(passed=2)


def test_synchronous_tests_on_a_database_of_the_project(
    pytester: pytest.Pytester, shared_postgres_url: str
) -> None:
    pytester.makeconftest(
        f"""
    import pytest

    @pytest.fixture(scope="session")
    def elihu_database_url():
        return {shared_postgres_url!r}

    @pytest.fixture
    def elihu_settings():
        return {{"queues": {{"default": 2}}}}
    """
    )
    pytester.makepyfile(
        TASKS
        + """
    def test_drain(elihu_app):
        assert elihu_app.config.database_url.startswith("postgresql")
        assert elihu_app.config.queues == {"default": 2}
        pay.enqueue(7)
        assert elihu_app.drain().completed == 1

    def test_inline(elihu_app):
        with elihu_app.inline():
            assert pay.enqueue(7).state == "completed"
    """
    )
    run(pytester, *NEITHER).assert_outcomes(passed=2)


def test_a_helper_that_is_not_awaited_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        TASKS
        + """
    async def test_forgets(elihu_app):
        elihu_app.assert_enqueued(pay)
    """
    )
    done = run(pytester, *AUTO)
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*HelperNotAwaited: *assert_enqueued() without await"])


def test_a_failure_shows_the_test_and_the_differences_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        TASKS
        + """
    def test_fails(elihu_app):
        pay.enqueue(7)
        elihu_app.assert_enqueued(pay, args={"order": 8})
    """
    )
    done = run(pytester, *NEITHER)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E *args.order: expected 8, got 7"])
    done.stdout.no_fnmatch_line("*raise AssertionError*")


def test_the_package_names_its_plugin() -> None:
    project = loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["pytest11"].items()
    assert EntryPoint(name, value, "pytest11").load() is plugin
