"""Files of quantized networks: packed ones to load again, and ONNX graphs to run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
