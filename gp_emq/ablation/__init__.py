"""Ablations: the same search with something changed, over several seeds, at equal evaluations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
