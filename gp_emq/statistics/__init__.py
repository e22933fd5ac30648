"""Collecting per-layer statistics of a network: what proxies are formulas over."""

from gp_emq.statistics._cache import default_cache
from gp_emq.statistics._collect import collect_statistics
from gp_emq.statistics._kinds import STATISTICS, Description, Kind, kind_of
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._settings import StatisticsSettings
from gp_emq.statistics._statistics import Origin, Statistics, open_statistics

__all__ = [
    "STATISTICS",
    "Description",
    "Kind",
    "Layout",
    "Origin",
    "Statistics",
    "StatisticsSettings",
    "collect_statistics",
    "default_cache",
    "kind_of",
    "open_statistics",
]
