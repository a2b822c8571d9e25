"""Finds the files of a folder and its subfolders."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

SKIPPED: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
"""Names of subfolders that are not scanned: installed packages and caches."""


@dataclass(slots=True)
class Listing:
    """One folder: its regular files with their sizes in bytes, its subfolders, and the
    error if it could not be read.
    """

    path: str
    files: list[tuple[str, int]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    error: OSError | None = None


async def walk(folder: str) -> AsyncIterator[Listing]:
    """List this folder and its subfolders, each in a thread. Symbolic links are not
    followed; ``SKIPPED`` folders are left out.
    """
    pending = [folder]
    while pending:
        listing = await asyncio.to_thread(list_folder, pending.pop())
        pending += listing.folders
        yield listing


def list_folder(path: str) -> Listing:
    """List the direct contents of one folder."""
    listing = Listing(path)
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED:
                        listing.folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    listing.files.append((entry.path, entry.stat(follow_symlinks=False).st_size))
    except OSError as error:
        listing.error = error
    return listing
