"""Collecting per-layer statistics of a network: what proxies are formulas over."""

from gp_emq.statistics._batch import check_images, check_labels
from gp_emq.statistics._cache import default_cache
from gp_emq.statistics._catalogue import (
    STATISTICS,
    add_statistic,
    exponent_of,
    is_own,
    kind_of,
)
from gp_emq.statistics._collect import collect_statistics
from gp_emq.statistics._context import Context
from gp_emq.statistics._header import sha256_of, state_sha256
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._record import Aspect, Kind, Statistic
from gp_emq.statistics._settings import StatisticsSettings
from gp_emq.statistics._statistics import Origin, Statistics, open_statistics

__all__ = [
    "STATISTICS",
    "Aspect",
    "Context",
    "Kind",
    "Layout",
    "Origin",
    "Statistic",
    "Statistics",
    "StatisticsSettings",
    "add_statistic",
    "check_images",
    "check_labels",
    "collect_statistics",
    "default_cache",
    "exponent_of",
    "is_own",
    "kind_of",
    "open_statistics",
    "sha256_of",
    "state_sha256",
]
