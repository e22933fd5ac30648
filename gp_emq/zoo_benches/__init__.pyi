from ._building import build_zoo_bench, plan_selection
from ._extending import extend_bench
from ._names import NEIGHBOURS
from ._roster import find_benches

__all__ = [
    "NEIGHBOURS",
    "build_zoo_bench",
    "extend_bench",
    "find_benches",
    "plan_selection",
]
