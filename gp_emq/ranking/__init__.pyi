from ._bench import RankedBench
from ._format import format_rankings, format_spreads
from ._measures import KENDALL
from ._options import FORMATS, SPLITS, RankOptions
from ._rank import Ranking, Row, rank
from ._scored import score
from ._spread import Spread, rank_as_published

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
