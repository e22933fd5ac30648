"""The best formulas of a run, as a file that is the same for the same run.

`hall_of_fame.json` holds the Pareto front of training tau against size. Nothing in it
may differ between identical runs: no dates, no seconds, no number of jobs.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gp_emq.errors import RunError
from gp_emq.files import atomic_write_text, read_document

HALL_OF_FAME_NAME = "hall_of_fame.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a hall of fame comes from.

    Attributes:
        bench: name of the bench.
        bench_sha256: of the bench's content.
        statistics_sha256: of the statistics that the formulas were evaluated on.
        primitive_set: name of the primitive set.
        seed: of the search.
        generations: how many the search completed, the initial one not counted.
        evaluations: fitness evaluations of the search.
    """

    bench: str
    bench_sha256: str
    statistics_sha256: str
    primitive_set: str
    seed: int
    generations: int
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Member:
    """One formula of a hall of fame.

    Attributes:
        id: of the individual in the run's store.
        generation: in which it was found.
        expression: the tree as a typed expression, which parses back.
        canonical: its canonical form.
        formula: the same as readable mathematics.
        size: nodes of the tree.
        depth: edges from the root to the deepest leaf.
        training_tau: Kendall tau on the training configurations.
        validation_tau: the same on the validation configurations.
        sign: +1 or -1; a table times its sign predicts higher accuracy by higher sums.
        best: whether this is the formula that the run recommends; one of them is.
    """

    id: int
    generation: int
    expression: str
    canonical: str
    formula: str
    size: int
    depth: int
    training_tau: float
    validation_tau: float
    sign: int
    best: bool


@dataclass(frozen=True)
class HallOfFame:
    """The best formulas of a run and what they come from; members in order of size."""

    provenance: Provenance
    members: tuple[Member, ...]

    @property
    def best(self) -> Member:
        """The formula that the run recommends."""
        return next(member for member in self.members if member.best)


def write_hall_of_fame(path: Path, hall_of_fame: HallOfFame) -> None:
    """Write a hall of fame; equal ones give equal bytes.

    Args:
        path: the JSON file.
        hall_of_fame: with at least one member, exactly one of them the best.

    Raises:
        RunError: the file cannot be written.
        ValueError: no member or several are the best, or a number is not finite.
    """
    if sum(member.best for member in hall_of_fame.members) != 1:
        raise ValueError("exactly one member of a hall of fame is the best")
    members = sorted(hall_of_fame.members, key=lambda member: (member.size, member.id))
    content = {
        "format": _FORMAT,
        "provenance": asdict(hall_of_fame.provenance),
        "members": [asdict(member) for member in members],
    }
    text = json.dumps(content, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    atomic_write_text(path, text + "\n")


def read_hall_of_fame(path: Path) -> HallOfFame:
    """Read and check a hall of fame.

    Args:
        path: the JSON file, or the folder of a run that holds one.

    Raises:
        RunError: the file is missing, damaged or of another format; the message says where.
    """
    path = path / HALL_OF_FAME_NAME if path.is_dir() else path
    found = read_document(path, HallOfFame, RunError, "the hall of fame", form=_FORMAT)
    for number, member in enumerate(found.members):
        if member.sign not in {-1, 1}:
            raise RunError(f"{path}, member {number}: sign is {member.sign}, not -1 or 1")
        if not all(-1 <= tau <= 1 for tau in (member.training_tau, member.validation_tau)):
            raise RunError(f"{path}, member {number}: a Kendall tau lies outside of [-1, 1]")
    if sum(member.best for member in found.members) != 1:
        raise RunError(f"{path}: exactly one member must be the best")
    return found
