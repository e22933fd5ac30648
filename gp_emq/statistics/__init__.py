"""Collecting per-layer statistics of a network: what proxies are formulas over."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
