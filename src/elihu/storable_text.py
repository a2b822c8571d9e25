"""Text that every database can hold."""


def clean(text: str, limit: int, *, keep_end: bool = False) -> str:
    """``text`` without NUL characters and lone surrogates, at most ``limit`` characters:
    its start, or with ``keep_end`` its end.
    """
    text = text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode("utf-8")
    if len(text) <= limit:
        return text
    return "…" + text[1 - limit :] if keep_end else text[: limit - 1] + "…"


def is_storable(text: str) -> bool:
    """Whether every database can hold ``text``: it has no NUL characters and no lone
    surrogates.
    """
    return "\x00" not in text and text == text.encode("utf-8", "replace").decode("utf-8")
