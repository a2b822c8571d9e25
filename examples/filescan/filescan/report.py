"""The report of a scan as text."""

from filescan.store import Totals

FAILURES_SHOWN = 10


def write_report(scan: int, totals: Totals, unfinished: int) -> str:
    """The totals of a scan. ``unfinished`` is the number of discarded or cancelled
    jobs.
    """
    lines = [
        f"filescan: scan {scan} of {totals.folder} has ended",
        f"  files       {totals.files:,}",
        f"  bytes       {totals.size:,}",
        f"  lines       {totals.lines:,} in {totals.text_files:,} text files",
        (
            "  largest     "
            f"{f'{totals.largest[0]} ({totals.largest[1]:,} bytes)' if totals.largest else 'none'}"
        ),
        f"  duplicates  {totals.repeated:,} ({totals.repeated_size:,} bytes)",
        f"  failures    {len(totals.failures) + unfinished:,}",
        *(f"              {path}: {error}" for path, error in totals.failures[:FAILURES_SHOWN]),
        f"  duration    {totals.seconds:.2f} s",
    ]
    if unfinished:
        lines.insert(-1, f"              {unfinished:,} jobs were discarded or cancelled")
    return "\n".join(lines)
