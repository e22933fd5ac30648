"""Recipes: the ways from a float network to a quantized one, each in a file of its own.

A recipe is a module of this package with a `Recipe` called `RECIPE`: benches measure by it,
`gp_emq.quantize` quantizes by it, and quantization-aware training starts from it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
