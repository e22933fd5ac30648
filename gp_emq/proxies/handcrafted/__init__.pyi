from ._names import ALIASES, DESCRIPTIONS
from ._registry import HANDCRAFTED, handcrafted_proxy, seed_expressions

__all__ = ["ALIASES", "DESCRIPTIONS", "HANDCRAFTED", "handcrafted_proxy", "seed_expressions"]
