"""The benches of the zoo: configurations where plans lie, of many networks under many protocols."""

from gp_emq.zoo_benches._building import build_zoo_bench, plan_selection
from gp_emq.zoo_benches._extending import NEIGHBOURS, extend_bench
from gp_emq.zoo_benches._plans import (
    PROXIES,
    SHARES,
    known_proxies,
    make_plans,
    proxy_tables,
    sizes_of,
)
from gp_emq.zoo_benches._roster import CONFIGURATIONS, ROSTER, ZooBench, find_benches
from gp_emq.zoo_benches._selecting import select_configurations, select_plans
from gp_emq.zoo_benches._swaps import TOLERANCE, Sizes, near_size, neighbour

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
