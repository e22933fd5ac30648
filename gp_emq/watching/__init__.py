"""Following a run that another process carries out, from what it leaves in its store."""

from gp_emq.watching._follow import follow, show_once
from gp_emq.watching._snapshot import Snapshot, WatchedRun
from gp_emq.watching._text import generation_line, snapshot_lines

__all__ = [
    "Snapshot",
    "WatchedRun",
    "follow",
    "generation_line",
    "show_once",
    "snapshot_lines",
]
