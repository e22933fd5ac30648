"""Proxies: formulas over a network's statistics, and what they say of its bit configurations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
