from ._bench import RankedBench
from ._format import format_rankings, format_spreads
from ._measures import KENDALL
from ._options import FORMATS, SPLITS, RankOptions
from ._rank import (
    Ranking,
    Row,
    Spread,
    rank,
    rank_as_published,
)
from ._scored import score

__all__ = [
    "FORMATS",
    "KENDALL",
    "SPLITS",
    "RankOptions",
    "RankedBench",
    "Ranking",
    "Row",
    "Spread",
    "format_rankings",
    "format_spreads",
    "rank",
    "rank_as_published",
    "score",
]
