"""Carrying out a run: what defines it, its phases, its end, its resumption."""

from gp_emq.experiment._configuration import Execution, RunConfiguration
from gp_emq.experiment._experiment import Result, how_to_resume, run
from gp_emq.experiment._phases import RANDOM_SEARCH

__all__ = ["RANDOM_SEARCH", "Execution", "Result", "RunConfiguration", "how_to_resume", "run"]
