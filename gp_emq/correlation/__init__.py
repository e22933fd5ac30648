"""Rank correlation: Kendall's tau of many, with ties, weights and masks, and its intervals."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
