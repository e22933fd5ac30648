"""The best formulas of a run, as a file that is the same for the same run.

`hall_of_fame.json` holds the Pareto front of training tau against size. Nothing in it
may differ between identical runs: no dates, no seconds, no number of jobs.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gp_emq.errors import RunError
from gp_emq.files import atomic_write_text

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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"{path} is no JSON file: {error}") from error
    return _hall_of_fame(content, path)


def _hall_of_fame(content: object, path: Path) -> HallOfFame:
    if not isinstance(content, dict) or not {"format", "provenance", "members"} <= set(content):
        raise RunError(f"{path} is no hall of fame: it needs format, provenance and members")
    if content["format"] != _FORMAT:
        found = content["format"]
        raise RunError(f"{path} has format {found!r}; this version reads format {_FORMAT}")
    provenance = Provenance(**_checked(Provenance, content["provenance"], f"{path}, provenance"))
    if not isinstance(content["members"], list):
        raise RunError(f"{path}: members is no list")
    members = tuple(
        Member(**_checked(Member, item, f"{path}, member {number}"))
        for number, item in enumerate(content["members"])
    )
    for number, member in enumerate(members):
        if member.sign not in {-1, 1}:
            raise RunError(f"{path}, member {number}: sign is {member.sign}, not -1 or 1")
        if not all(-1 <= tau <= 1 for tau in (member.training_tau, member.validation_tau)):
            raise RunError(f"{path}, member {number}: a Kendall tau lies outside of [-1, 1]")
    if sum(member.best for member in members) != 1:
        raise RunError(f"{path}: exactly one member must be the best")
    return HallOfFame(provenance, members)


_KINDS: Mapping[Any, tuple[str, Callable[[object], bool]]] = {
    str: ("text", lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: (
        "a finite number",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
    ),
}


def _checked(kind: type[Provenance | Member], values: object, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise RunError(f"{where} is no object")
    names = {field.name for field in fields(kind)}
    if set(values) != names:
        missing, unknown = sorted(names - set(values)), sorted(set(values) - names)
        raise RunError(f"{where}: missing {missing}, unknown {unknown}")
    for field in fields(kind):
        described, fits = _KINDS[field.type]
        if not fits(values[field.name]):
            raise RunError(f"{where}: {field.name} is {values[field.name]!r}, not {described}")
    floats = {field.name for field in fields(kind) if field.type is float}
    return {name: float(value) if name in floats else value for name, value in values.items()}
