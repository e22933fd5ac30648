"""Known proxies: formulas of our own language where they are formulas, functions where not."""

from gp_emq.proxies.handcrafted._registry import (
    ALIASES,
    HANDCRAFTED,
    handcrafted_proxy,
    seed_expressions,
)

__all__ = ["ALIASES", "HANDCRAFTED", "handcrafted_proxy", "seed_expressions"]
