"""Farming work out to processes, so that results never depend on who did it."""

from gp_emq.farm._farm import Farm, Job

__all__ = ["Farm", "Job"]
