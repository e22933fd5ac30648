from ._batch import Noise
from ._cache import default_cache
from ._catalogue import STATISTICS, add_statistic, exponent_of, is_own
from ._collect import collect_statistics
from ._context import Context
from ._header import network_sha256, sha256_of, state_sha256
from ._layout import Layout
from ._record import Aspect, Kind, Statistic
from ._rounding import Rounding
from ._settings import StatisticsSettings
from ._statistics import Origin, Statistics, open_statistics

__all__ = [
    "STATISTICS",
    "Aspect",
    "Context",
    "Kind",
    "Layout",
    "Noise",
    "Origin",
    "Rounding",
    "Statistic",
    "Statistics",
    "StatisticsSettings",
    "add_statistic",
    "collect_statistics",
    "default_cache",
    "exponent_of",
    "is_own",
    "network_sha256",
    "open_statistics",
    "sha256_of",
    "state_sha256",
]
