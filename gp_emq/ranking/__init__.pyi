from ._bench import RankedBench
from ._comparison import Mark
from ._format import format_rankings, format_spreads
from ._matrix import MatrixRow, matrix
from ._measures import KENDALL, TITLES
from ._options import FORMATS, SPLITS, RankOptions
from ._rank import (
    Ranking,
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
