import numpy as np
import pytest

from gp_emq.store import BenchRow, GenerationRow, IndividualRow, RunStore


@pytest.fixture
def make_generation():
    """Rows of a generation whose individuals descend from those of the one before."""

    def make(number: int, members: int = 5) -> tuple[list[IndividualRow], GenerationRow]:
        first = number * members
        individuals = [
            IndividualRow(
                id=first + place,
                generation=number,
                place=place,
                attempt=0,
                operator="seed" if number == 0 else "mutation",
                parents=() if number == 0 else (first - members + place,),
                expression=f"square(weight_{number}_{place})",
                canonical=f"square(weight_{number}_{place})",
                size=2,
                depth=1,
                training_tau=0.5,
                validation_tau=0.25,
                sign=-1,
                reason=None if place else "duplicate",
                seconds=0.125,
                benches=(
                    BenchRow("digits", 0.5, 0.25, np.full((3, 2), first + place, dtype=np.float64)),
                ),
            )
            for place in range(members)
        ]
        generation = GenerationRow(
            generation=number,
            population=tuple(row.id for row in individuals if row.accepted),
            best_training=0.5,
            median_training=0.5,
            best_validation=0.25,
            diversity=0.75,
            evaluations=(number + 1) * (members - 1),
            proposals=(number + 1) * members,
            rejections={"duplicate": 1},
            seconds=1.5,
        )
        return individuals, generation

    return make


@pytest.fixture
def store(tmp_path):
    meta = {"config": {"seed": 1}, "bench": {"name": "digits"}}
    arrays = {"accuracies": np.array([0.5, 0.75]), "split": np.array([0, 2], dtype=np.int8)}
    with RunStore.create(tmp_path / "run", meta, arrays) as store:
        yield store
