"""What a search may maximise: how well a formula ranks the accuracies of one bench, or of many.

A bench's objective is a `BenchObjective`, an `EqualCostObjective` or a `PlanObjective`, by what
counts in its ranking; a `MeanObjective` is that of several benches.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
