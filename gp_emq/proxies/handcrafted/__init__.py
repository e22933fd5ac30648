"""Known proxies: formulas of our own language where they are formulas, functions where not."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
