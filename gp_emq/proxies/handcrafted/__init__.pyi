from ._proxy import (
    ALIGNED,
    AS_PUBLISHED,
    FORMS,
    HandcraftedProxy,
    ProxyInputs,
)
from ._registry import (
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
