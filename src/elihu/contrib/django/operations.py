"""Operations of Django's migrations that execute Elihu's."""

from typing import Any

from django.db.migrations import CreateModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState

from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.project import project_app
from elihu.contrib.django.tables import stored_version


class MigrateElihu(Operation):
    """Bring the tables from the version before to ``version``, on the database of the
    jobs. Tables that ``elihu migrate`` or ``elihu up`` has made are left as they are.
    """

    reduces_to_sql = True
    reversible = False

    def __init__(self, version: int) -> None:
        self.version = version

    def state_forwards(self, _app_label: str, _state: Any) -> None:
        """Nothing: the models are unmanaged."""

    def database_forwards(
        self, _app_label: str, schema_editor: Any, _from_state: Any, _to_state: Any
    ) -> None:
        app, connection = project_app(), schema_editor.connection
        if connection.alias != app.database:
            return
        if not schema_editor.collect_sql and stored_version(connection) >= self.version:
            return
        step = app.tables.steps(after=self.version - 1)[0]
        for statement in step.statements:
            schema_editor.execute(statement, params=None)

    def describe(self) -> str:
        return f"Bring the tables of Elihu to version {self.version}"


def read_only_models() -> list[CreateModel]:
    """The unmanaged models as they are in the code. They have no history: a new column is
    a migration of Elihu, and ``makemigrations`` finds no difference.
    """
    states = [ModelState.from_model(model) for model in (Job, Run)]
    return [CreateModel(state.name, [*state.fields.items()], state.options) for state in states]
