"""What the checker found."""

from dataclasses import dataclass, field

from oracle.evidence import Recovery


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found. Every list but ``discarded`` and ``recoveries`` is empty when all
    promises were kept.

    ==============  ==================================================================
    ``lost``        acknowledged and not ended, ended without its effect, or discarded
                    without an injected cause
    ``phantom``     stored, run or effected without an intent, or twice for one
    ``illegal``     a change of state that the state machine does not have, or a claim
                    that does not count up
    ``double``      a claim that ended twice, never, or before its attempt did
    ``overlap``     two attempts of a job at once, the older on a node that lived
    ``unexplained`` a second effect of a job that no fault and no request explains
    ``removed``     nodes that were removed as dead and lived
    ``late``        what took longer to work again than it may
    ``wrong``       waits with no end, two ends or a wrong one; attempts that ended
                    otherwise than requested, or were rescued from a living node
    ``problems``    what the processes themselves reported
    ==============  ==================================================================
    """

    lost: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    illegal: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    overlap: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    explained: int = 0
    jobs: int = 0

    @property
    def slowest(self) -> float | None:
        """The longest recovery, in seconds."""
        return max((recovery.seconds for recovery in self.recoveries), default=None)

    BROKEN = (
        "lost",
        "phantom",
        "illegal",
        "double",
        "overlap",
        "unexplained",
        "removed",
        "late",
        "wrong",
        "problems",
    )

    def broken(self) -> dict[str, list[str]]:
        """The kinds of findings that there are, with their texts."""
        return {kind: found for kind in self.BROKEN if (found := getattr(self, kind))}
