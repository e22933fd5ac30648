from ._registry import (
    ALIASES,
    HANDCRAFTED,
    handcrafted_proxy,
    seed_expressions,
)

__all__ = ["ALIASES", "HANDCRAFTED", "handcrafted_proxy", "seed_expressions"]
