"""What rules and tasks of the scheduler need besides a session."""

from dataclasses import dataclass
from typing import Final

from elihu import Config, Elihu
from elihu.commands.secrets import Keyring, load_keyring
from elihu.orm.sessions import Sessions

DISPATCH_TASK: Final = "commands.dispatch_due"
RUN_TASK: Final = "commands.run"
ALERT_TASK: Final = "commands.alert"


@dataclass(frozen=True, slots=True)
class Host:
    """The app, and sessions on its database."""

    app: Elihu
    sessions: Sessions

    @property
    def config(self) -> Config:
        """The settings of the app."""
        return self.app.config

    def keyring(self) -> Keyring:
        """The keys as they are now: they may be replaced while a node runs. Raises
        ``SecretError``.
        """
        return load_keyring(self.app.config)
