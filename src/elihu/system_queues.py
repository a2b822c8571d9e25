"""The queues of the command scheduler: the one definition of what belongs to the system
and not to the application.
"""

from typing import Final

DISPATCH_QUEUE: Final = "commands_dispatch"
RUN_QUEUE: Final = "commands"
ALERT_QUEUE: Final = "commands_alerts"

SYSTEM_QUEUES: Final = (RUN_QUEUE, ALERT_QUEUE, DISPATCH_QUEUE)
"""Lists of jobs and cron entries leave these out unless they are asked for."""
