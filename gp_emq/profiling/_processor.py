"""What the processor of this machine is."""

import platform
from pathlib import Path

_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Linux's names of the instructions for products of integers of 8 bits."""


def processor() -> str:
    """Name the processor and its instructions for integer dot products, as Linux tells them."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine() or "unknown processor"
    lines = [line.partition(":") for line in path.read_text(encoding="utf-8").splitlines()]
    told = {name.strip(): value.strip() for name, _, value in lines}
    own = sorted(_PRODUCTS & {*told.get("flags", told.get("Features", "")).split()})
    return f"{told.get('model name', 'unknown processor')} ({', '.join(own) or 'no dot products'})"
