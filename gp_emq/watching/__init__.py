"""Following a run that another process carries out, from what it leaves in its store."""

from gp_emq.watching._follow import follow, show_once

__all__ = [
    "follow",
    "show_once",
]
