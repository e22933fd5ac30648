"""What a search may maximise: how well a formula ranks the accuracies of one bench, or of many."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
