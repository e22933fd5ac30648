"""Benches: bit configurations of a network with the accuracies they really give."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
