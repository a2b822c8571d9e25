"""The channel of a schema for NOTIFY, and signals as its payloads."""

from typing import Final

from elihu.engines.protocol.signals import Signal, text_of

_LONGEST_PAYLOAD: Final = 7_900  # bytes; the server refuses 8,000


def channel_of(schema: str) -> str:
    """The channel of a schema's announcements."""
    return f"elihu_{schema}_signal"


def payload_of(signal: Signal) -> str:
    """``kind:payload``. A payload that is too long is left out, which means all."""
    text = text_of(signal)
    return text if len(text.encode()) <= _LONGEST_PAYLOAD else f"{signal.kind.value}:"


def notification(sql: str, channel: str, payload: str) -> str:
    """``sql`` with the channel and the payload at their marks. NOTIFY takes no parameters."""
    literal = payload.replace("\\", "\\\\").replace("'", "''")
    return sql.replace("/* channel */", channel).replace("/* payload */", literal)
