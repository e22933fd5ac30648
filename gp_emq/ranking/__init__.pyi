from ._bench import SPLITS, RankedBench
from ._candidates import (
    Candidate,
    Scored,
    expression_candidate,
    handcrafted_candidates,
    run_candidate,
)
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

__all__ = [
    "FORMATS",
    "KENDALL",
    "SPLITS",
    "TITLES",
    "Candidate",
    "Mark",
    "MatrixRow",
    "RankOptions",
    "RankedBench",
    "Ranking",
    "Row",
    "Scored",
    "Spread",
    "expression_candidate",
    "format_rankings",
    "format_spreads",
    "handcrafted_candidates",
    "matrix",
    "rank",
    "rank_as_published",
    "run_candidate",
]
