"""The commands, as one: ``gp_emq run``, ``gp_emq rank`` and so on.

Nothing slow is imported here before the command is known that needs it.
"""

from gp_emq.cli._console import console

__all__ = ["console"]
