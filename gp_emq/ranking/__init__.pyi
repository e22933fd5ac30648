from ._bench import SPLITS, RankedBench
from ._comparison import Mark
from ._format import FORMATS, format_rankings, format_spreads
from ._matrix import MatrixRow, matrix
from ._measures import KENDALL, TITLES
from ._rank import (
    Ranking,
    RankOptions,
    Row,
    Spread,
    rank,
    rank_as_published,
)
from ._scored import Scored, score

__all__ = [
    "FORMATS",
    "KENDALL",
    "SPLITS",
    "TITLES",
    "Mark",
    "MatrixRow",
    "RankOptions",
    "RankedBench",
    "Ranking",
    "Row",
    "Scored",
    "Spread",
    "format_rankings",
    "format_spreads",
    "matrix",
    "rank",
    "rank_as_published",
    "score",
]
