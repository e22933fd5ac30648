"""What was measured, kept on disk: an interrupted search goes on, and another finds it there."""

import hashlib
from pathlib import Path

import numpy as np

from gp_emq.allocation import Configuration
from gp_emq.errors import RunError
from gp_emq.files import one_line, read_entry, write_entry
from gp_emq.measured._samples import Answers


class KeptAnswers:
    """Files of what plans gave, one for each plan and pass.

    A file appears complete or not at all. One that was damaged since counts as missing, and what
    it said is measured again.

    Args:
        folder: Where they are kept; None keeps nothing.
        identity: Hash of everything that decides the answers but the plan.
    """

    def __init__(self, folder: Path | None, identity: str) -> None:
        self._folder = None if folder is None else folder / identity[:32]
        self._identity = identity

    def get(self, configuration: Configuration, place: int, samples: int) -> Answers | None:
        """Return what a plan gave in a pass; None if that is not known.

        Args:
            configuration: The plan.
            place: Of the pass.
            samples: How many it has.
        """
        found = self._entry(configuration, place)
        return None if found is None else read_answers(*found, samples)

    def put(self, configuration: Configuration, place: int, found: Answers) -> None:
        """Keep what a plan gave in a pass.

        Raises:
            RunError: The disk does not take it.
        """
        content = np.stack([found.losses, found.values]).astype("<f8").tobytes()
        _keep(self._entry(configuration, place), content)

    def _entry(self, configuration: Configuration, place: int) -> tuple[Path, str] | None:
        return _entry(self._folder, self._identity, f"{_widths(configuration)} {place}")


class KeptMetrics:
    """Files of what plans came to, one for each plan, as `KeptAnswers` are.

    Args:
        folder: Where they are kept; None keeps nothing.
        identity: Hash of everything that decides the metric but the plan.
    """

    def __init__(self, folder: Path | None, identity: str) -> None:
        self.folder = None if folder is None else folder / identity[:32]
        self._identity = identity

    def get(self, configuration: Configuration) -> float | None:
        """Return what a plan came to; None if that is not known."""
        found = self._entry(configuration)
        return None if found is None else read_metric(*found)

    def put(self, configuration: Configuration, metric: float) -> None:
        """Keep what a plan came to.

        Raises:
            RunError: The disk does not take it.
        """
        _keep(self._entry(configuration), np.array(metric, dtype="<f8").tobytes())

    def _entry(self, configuration: Configuration) -> tuple[Path, str] | None:
        return _entry(self.folder, self._identity, _widths(configuration))


def read_answers(path: Path, key: str, samples: int) -> Answers | None:
    """Read what a plan gave in a pass; None if it is not there, or not whole.

    Args:
        path: The file.
        key: What it is of.
        samples: How many.
    """
    content = read_entry(path, key)
    if content is None or len(content) != 16 * samples:
        return None
    losses, values = np.frombuffer(content, dtype="<f8").astype(np.float64).reshape(2, -1)
    return None if np.isnan(losses).any() else Answers(losses, values)


def read_metric(path: Path, key: str) -> float | None:
    """Read what a plan came to; None if it is not there, not whole, or no number.

    Args:
        path: The file.
        key: What it is of.
    """
    content = read_entry(path, key)
    if content is None or len(content) != 8:
        return None
    metric = float(np.frombuffer(content, dtype="<f8")[0])
    return None if np.isnan(metric) else metric


def _entry(folder: Path | None, identity: str, key: str) -> tuple[Path, str] | None:
    """Give the file of an entry and what it is of; None where nothing is kept."""
    if folder is None:
        return None
    return folder / hashlib.sha256(key.encode()).hexdigest()[:32], f"{identity} {key}"


def _keep(entry: tuple[Path, str] | None, content: bytes) -> None:
    if entry is None:
        return
    path, key = entry
    try:
        write_entry(path, key, content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {one_line(error)}") from error


def _widths(configuration: Configuration) -> str:
    return ",".join(map(str, configuration))
