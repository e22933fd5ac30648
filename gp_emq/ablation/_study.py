"""What an ablation is about: a file of variants of one search."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gp_emq.errors import RunError
from gp_emq.experiment import RunConfiguration
from gp_emq.files import check_document, read_toml, refuse_code, shortened

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_FIXED = {"bench", "more_benches", "seed", "weights", "data", "network", "workload"}
_SETTINGS = {item.name for item in fields(RunConfiguration)} - _FIXED
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Variant:
    """One way to search.

    Args:
        name: What tables and folders call it.
        benches: That it searches on.
        settings: Fields of `RunConfiguration` that it sets.
    """

    name: str
    benches: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def configuration(self, seed: int) -> RunConfiguration:
        """Give the configuration of its search of a seed.

        Raises:
            RunError: A setting is out of its range.
        """
        first, *more = self.benches
        return RunConfiguration(
            **{**self.settings, "bench": first, "more_benches": tuple(more), "seed": seed}
        )


@dataclass(frozen=True)
class Study:
    """Variants of one search, and what they are compared by.

    Args:
        variants: The first is what the others are compared with.
        held_out: Benches that no variant searches on; what is found is ranked on them at the end.
        seeds: Of each variant's searches.
        evaluations: Of each search.
    """

    variants: tuple[Variant, ...]
    held_out: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: int


@dataclass(frozen=True)
class _Document:
    """A study as its file holds it."""

    benches: list[str]
    variants: dict[str, dict[str, Any]]
    held_out: list[str] = field(default_factory=list)
    seeds: int = 3
    evaluations: int = 2000
    settings: dict[str, Any] = field(default_factory=dict)


def read_study(path: Path, trusted: Sequence[str] = ()) -> Study:
    """Read a study from its TOML file.

    Its keys are ``benches`` and ``held_out`` (names or files), ``seeds`` (how many),
    ``evaluations``, ``[settings]`` of all searches, and a table ``[variants.NAME]`` of the settings
    of each variant. Settings are those of `RunConfiguration`; a variant may have ``benches`` of its
    own.

    Args:
        path: The file.
        trusted: Files of primitive sets that it may name, since the caller trusts them.

    Raises:
        RunError: The file is missing or damaged, or asks for what is not there.
    """
    what = f"the study {path}"
    content = read_toml(path, RunError, "the study")
    document = check_document(content, _Document, RunError, what)
    if not document.variants:
        raise RunError(f"{what} has no variants: give at least one table [variants.NAME]")
    for name, value, most in (
        ("seeds", document.seeds, _MOST_SEEDS),
        ("evaluations", document.evaluations, 10**9),
    ):
        if not 1 <= value <= most:
            raise RunError(f"{what} gives {name} as {value}: it is from 1 to {most}")
    variants = tuple(_variant(what, document, name, trusted) for name in document.variants)
    read = {
        bench
        for variant in variants
        for bench in (*variant.benches, *variant.settings.get("validate_on", ()))
    }
    for bench in document.held_out:
        if bench in read:
            raise RunError(
                f"{what} holds out {shortened(bench)}, which a variant searches on, or chooses by"
            )
    return Study(
        variants, tuple(document.held_out), tuple(range(document.seeds)), document.evaluations
    )


def _variant(what: str, document: _Document, name: str, trusted: Sequence[str]) -> Variant:
    if not _NAME.fullmatch(name):
        raise RunError(
            f"{what} has a variant {shortened(name)}: names are letters, digits, '-', '_' and '.'"
        )
    where = f"{what}, variant {name}"
    given = {**document.settings, **document.variants[name]}
    benches = given.pop("benches", document.benches)
    if not (isinstance(benches, list) and benches and all(isinstance(b, str) for b in benches)):
        raise RunError(f"{where}, gives benches as {shortened(benches)}: a list of names or files")
    for key in given:
        if key not in _SETTINGS:
            raise RunError(
                f"{where}, sets {shortened(key)}: known are {', '.join(sorted(_SETTINGS))}"
            )
    primitives = given.get("primitives")
    if isinstance(primitives, str) and primitives not in trusted:
        refuse_code(primitives, RunError, f"{where}, names the primitive set", "--primitives")
    values = {**RunConfiguration().to_json(), **given, "bench": benches[0]}
    whole = check_document(values, RunConfiguration, RunError, where)
    return Variant(name, tuple(benches), {key: getattr(whole, key) for key in given})
