"""Known proxies: formulas of our own language where they are formulas, functions where not."""

from gp_emq.proxies.handcrafted._proxy import (
    ALIGNED,
    AS_PUBLISHED,
    FORMS,
    HandcraftedProxy,
    ProxyInputs,
)
from gp_emq.proxies.handcrafted._registry import (
    ALIASES,
    HANDCRAFTED,
    handcrafted_proxy,
    handcrafted_table,
    seed_expressions,
)

__all__ = [
    "ALIASES",
    "ALIGNED",
    "AS_PUBLISHED",
    "FORMS",
    "HANDCRAFTED",
    "HandcraftedProxy",
    "ProxyInputs",
    "handcrafted_proxy",
    "handcrafted_table",
    "seed_expressions",
]
