from ._building import build_zoo_bench, plan_selection
from ._extending import extend_bench
from ._names import NEIGHBOURS
from ._plans import (
    PROXIES,
    SHARES,
    known_proxies,
    make_plans,
    proxy_tables,
    sizes_of,
)
from ._roster import CONFIGURATIONS, ROSTER, ZooBench, find_benches
from ._selecting import select_configurations, select_plans
from ._swaps import TOLERANCE, Sizes, near_size, neighbour

__all__ = [
    "CONFIGURATIONS",
    "NEIGHBOURS",
    "PROXIES",
    "ROSTER",
    "SHARES",
    "TOLERANCE",
    "Sizes",
    "ZooBench",
    "build_zoo_bench",
    "extend_bench",
    "find_benches",
    "known_proxies",
    "make_plans",
    "near_size",
    "neighbour",
    "plan_selection",
    "proxy_tables",
    "select_configurations",
    "select_plans",
    "sizes_of",
]
