"""Limits of what a command may use, and what it used."""

import sys

from tests.commands.runner.support import ended


async def test_memory() -> None:
    grow = "import time; a = b'x' * (200 << 20); time.sleep(60)"
    end, _ = await ended(f'{sys.executable} -c "{grow}"', memory_limit=100 * 2**20)
    assert end.status == "failed"
    assert end.reason
    assert "of memory, memory_limit is 100 MiB" in end.reason
    assert end.peak_memory
    assert end.peak_memory > 100 * 2**20


async def test_memory_counts_all_processes() -> None:
    grow = "import time; a = b'x' * (60 << 20); time.sleep(60)"
    each = f'{sys.executable} -c "{grow}"'
    end, _ = await ended(f"{each} & {each}", memory_limit=100 * 2**20)
    assert end.status == "failed"
    assert end.reason
    assert "memory_limit is 100 MiB" in end.reason


async def test_memory_taken_at_once_is_refused() -> None:
    grow = "bytearray(8 << 30)"
    end, sink = await ended(f'{sys.executable} -c "{grow}"', memory_limit=100 * 2**20)
    assert (end.status, end.exit_code) == ("failed", 1)
    assert b"MemoryError" in sink.err


async def test_processor_time_counts_all_processes() -> None:
    text = "while :; do :; done & while :; do :; done"
    end, _ = await ended(text, cpu_seconds=1)
    assert end.status == "failed"
    assert end.reason
    assert "of processor time, cpu_seconds is 1" in end.reason
    assert end.cpu_time
    assert 0.9 < end.cpu_time < 3


async def test_processor_time_of_processes_that_have_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    text = f"while :; do {sys.executable} -S -c '{burn}'; done"
    end, _ = await ended(text, cpu_seconds=1)
    assert end.reason
    assert "cpu_seconds is 1" in end.reason


async def test_open_files() -> None:
    end, sink = await ended("ulimit -n", open_files=17)
    assert end.status == "succeeded"
    assert sink.out == b"17\n"


async def test_what_was_used() -> None:
    burn = "import time\na = b'x' * (50 << 20)\nwhile time.process_time() < 0.3: pass"
    each = f'{sys.executable} -c "{burn}"'
    end, _ = await ended(f"{each} & {each}; wait")
    assert end.peak_memory
    assert 50 * 2**20 < end.peak_memory < 100 * 2**20
    assert end.cpu_time
    assert 0.6 <= end.cpu_time < 3
