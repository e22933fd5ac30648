"""Post-training quantization: from a network and a plan to a quantized network."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
