"""How much memory one process may use for what a file asks for."""

import os
import re
from pathlib import Path

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Used where the machine does not say how much memory it has.
UNKNOWN = 8 * 2**30
# Memory limits of Linux containers.
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def max_memory() -> int:
    """Return the limit in bytes: `KERAS_UQ_MAX_MEMORY` (such as `4G`), or half of the machine's memory.

    Readers compare with it what they will hold, from headers alone, before they allocate anything.

    Raises:
        ValueError: If the variable is no size.
    """
    text = os.environ.get("KERAS_UQ_MAX_MEMORY", "").strip()
    if not text:
        return _machine_memory() // 2
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE | re.ASCII)
    size = int(float(match[1]) * UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise ValueError(f"KERAS_UQ_MAX_MEMORY is a size in bytes such as 4G or 800M. Received: {text!r}.")
    return size


def gibibytes(size: int) -> str:
    """Return a size in bytes as people read it, such as `5.2 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024


def _machine_memory():
    sizes = [size for size in (_physical(), *map(_number, CGROUPS)) if size]
    return min(sizes, default=UNKNOWN)


def _physical():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no `sysconf`.
        return None


def _number(path):
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):  # "max" means without a limit.
        return None
