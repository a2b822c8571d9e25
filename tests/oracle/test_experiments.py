"""The quickest experiments: mutants are found, and the true build has no finding.
``script/faults`` runs all experiments.
"""

import os
import subprocess
import sys

import pytest

from elihu.testing.postgres import PostgresServer
from oracle.mutants import MUTANTS
from oracle.processes import ROOT
from oracle.scenario import Result, Scenario, Size, perform
from oracle.scenarios import BY_NAME
from oracle.scenarios.safeguards import BY_MUTANT

SEED = int(os.environ.get("ELIHU_TEST_SEED", "1"))


@pytest.fixture
def server(request: pytest.FixtureRequest, engine: str) -> PostgresServer | None:
    return request.getfixturevalue("postgres_server") if engine == "postgres" else None


async def quickly(
    scenario: Scenario, engine: str, server: PostgresServer | None, mutant: str | None = None
) -> Result:
    return await perform(
        scenario, engine, seed=SEED, size=Size(quick=True), server=server, mutant=mutant, keep=False
    )


@pytest.mark.parametrize(
    ("mutant", "engine", "kind"),
    [
        ("unique index dropped", "sqlite", "phantom"),
        ("unique index dropped", "postgres", "phantom"),
        ("guard without the claim", "sqlite", "double"),
        ("guard without the claim", "postgres", "double"),
        ("announcement before commit, no polling", "postgres", "lost"),
    ],
)
async def test_a_broken_build_is_found_out(
    mutant: str, engine: str, kind: str, server: PostgresServer | None
):
    result = await quickly(BY_MUTANT[mutant], engine, server, mutant)
    assert kind in result.findings.broken()


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("unique jobs from many sides", "sqlite"),
        ("unique jobs from many sides", "postgres"),
        ("announcements without polling", "postgres"),
        ("acknowledgements delivered twice", "postgres"),
        ("enqueuers killed around their commit", "sqlite"),
        ("enqueuers killed around their commit", "postgres"),
        ("nodes killed", "sqlite"),
        ("nodes killed", "postgres"),
        ("listening connection cut", "postgres"),
        ("dies: inside acknowledge", "sqlite"),
        ("dies: inside complete", "sqlite"),
        ("trigger dies: inside on_error", "sqlite"),
        ("ticks missed, leaders killed", "postgres"),
        ("nodes that run commands killed and stopped", "sqlite"),
    ],
)
async def test_every_promise_is_kept(name: str, engine: str, server: PostgresServer | None):
    result = await quickly(BY_NAME[name], engine, server)
    assert result.findings.broken() == {}
    assert result.findings.jobs


BREAK = (
    "import sys; from elihu.engines.postgres.queries import Queries; "
    "from oracle.mutants import apply; apply(sys.argv[1]); Queries('elihu')"
)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_mutant_can_be_made_of_this_build(mutant: str):
    subprocess.run([sys.executable, "-c", BREAK, mutant], check=True, cwd=ROOT)


def test_every_mutant_has_an_experiment_on_each_engine_that_has_its_safeguard():
    assert BY_MUTANT.keys() == MUTANTS.keys()
    for name, mutant in MUTANTS.items():
        assert set(mutant.engines) <= set(BY_MUTANT[name].engines)
        assert (len(mutant.engines) == 2) == (not mutant.why_not)
