"""Carrying out a run: what defines it, its phases, its end, its resumption."""

from gp_emq.experiment._configuration import FITNESSES, Execution, RunConfiguration
from gp_emq.experiment._experiment import how_to_resume, run
from gp_emq.experiment._found import Formula, Result
from gp_emq.experiment._phases import RANDOM_SEARCH
from gp_emq.experiment._python import search

__all__ = [
    "FITNESSES",
    "RANDOM_SEARCH",
    "Execution",
    "Formula",
    "Result",
    "RunConfiguration",
    "how_to_resume",
    "run",
    "search",
]
