"""Job kinds in the database: ``app.templates``."""

from elihu.templates.sync import Synced
from elihu.templates.verbs import Templates

__all__ = ["Synced", "Templates"]
