"""The benches of the zoo: configurations where plans lie, of many networks under many protocols."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
