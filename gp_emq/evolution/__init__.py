"""Evolving proxies: individuals, variation, screening, selection, and the loop over them.

A `Search` is asked for one `Proposal` after another, which are evaluated into tables, and told what
they came to: an `Objective` measures those that pass the screen, the `Archive` remembers everyone,
and selection makes the next population.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
