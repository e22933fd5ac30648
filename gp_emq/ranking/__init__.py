"""Measuring how well proxies rank the configurations of a bench."""

from gp_emq.correlation import Figure
from gp_emq.ranking._bench import SPLITS, RankedBench
from gp_emq.ranking._candidates import (
    Candidate,
    Scored,
    expression_candidate,
    handcrafted_candidates,
    run_candidate,
)
from gp_emq.ranking._comparison import Mark
from gp_emq.ranking._format import FORMATS, format_rankings, format_spreads
from gp_emq.ranking._matrix import MatrixRow, matrix
from gp_emq.ranking._measures import KENDALL, TITLES
from gp_emq.ranking._rank import (
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
    "Figure",
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
