"""What a node orders a supervisor to run, as it passes between the two."""


class Order:
    """``arguments`` is a program and its arguments. ``secrets`` are sorted for the
    masking. ``node`` is the process that must live for the command to go on.
    """

    __slots__ = (
        "arguments",
        "cgroup",
        "cpu_seconds",
        "environment",
        "keep_background",
        "kill_grace",
        "mark",
        "memory_limit",
        "node",
        "open_files",
        "output_limit",
        "secrets",
        "timeout",
        "working_directory",
    )

    def __init__(
        self,
        *,
        arguments: list[str],
        environment: dict[str, str],
        secrets: list[bytes],
        working_directory: str | None,
        timeout: float,
        kill_grace: float,
        output_limit: int,
        keep_background: bool,
        memory_limit: int | None,
        cpu_seconds: int | None,
        open_files: int | None,
        cgroup: bool,
        mark: str,
        node: int,
    ) -> None:
        self.arguments = arguments
        self.environment = environment
        self.secrets = secrets
        self.working_directory = working_directory
        self.timeout = timeout
        self.kill_grace = kill_grace
        self.output_limit = output_limit
        self.keep_background = keep_background
        self.memory_limit = memory_limit
        self.cpu_seconds = cpu_seconds
        self.open_files = open_files
        self.cgroup = cgroup
        self.mark = mark
        self.node = node

    def fields(self) -> dict[str, object]:
        """The keywords that make an equal order."""
        return {name: getattr(self, name) for name in self.__slots__}
