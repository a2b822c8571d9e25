"""Settings for tests of parts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from elihu.config import (
    Config,
    load_config,
)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Config]:
    def call(
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Config:
        return load_config(
            keywords=keywords, environ=environ or {}, flags=flags or {}, folder=tmp_path
        )

    return call
