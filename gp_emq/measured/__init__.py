"""Plans by measurement: what a plan really loses on images that it was not made by.

A `MeasuredPlan` is what comes of it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
