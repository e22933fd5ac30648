"""What a run leaves behind: its store, its hall of fame, its logbook."""

from gp_emq.store._database import STORE_NAME
from gp_emq.store._fitted import FittedFormula
from gp_emq.store._rows import BenchRow, GenerationRow, IndividualRow, bench_key
from gp_emq.store._run_store import RunStore
from gp_emq.store.hall_of_fame import (
    HallOfFame,
    Member,
    Provenance,
    read_hall_of_fame,
    write_hall_of_fame,
)
from gp_emq.store.logbook import write_logbook

__all__ = [
    "STORE_NAME",
    "BenchRow",
    "FittedFormula",
    "GenerationRow",
    "HallOfFame",
    "IndividualRow",
    "Member",
    "Provenance",
    "RunStore",
    "bench_key",
    "read_hall_of_fame",
    "write_hall_of_fame",
    "write_logbook",
]
