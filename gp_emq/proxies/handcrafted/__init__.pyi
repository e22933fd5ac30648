from ._names import ALIASES, DESCRIPTIONS, OF_PLANS
from ._registry import HANDCRAFTED, RANKING, handcrafted_proxy, seed_expressions

__all__ = [
    "ALIASES",
    "DESCRIPTIONS",
    "HANDCRAFTED",
    "OF_PLANS",
    "RANKING",
    "handcrafted_proxy",
    "seed_expressions",
]
