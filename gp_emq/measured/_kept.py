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
        if self._folder is None:
            return None
        key = _key(configuration, place)
        return read_answers(self._path(self._folder, key), f"{self._identity} {key}", samples)

    def put(self, configuration: Configuration, place: int, found: Answers) -> None:
        """Keep what a plan gave in a pass.

        Raises:
            RunError: The disk does not take it.
        """
        if self._folder is None:
            return
        key = _key(configuration, place)
        content = np.stack([found.losses, found.values]).astype("<f8").tobytes()
        path = self._path(self._folder, key)
        try:
            write_entry(path, f"{self._identity} {key}", content)
        except OSError as error:
            raise RunError(f"cannot write {path}: {one_line(error)}") from error

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / hashlib.sha256(key.encode()).hexdigest()[:32]


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


def _key(configuration: Configuration, place: int) -> str:
    return f"{','.join(map(str, configuration))} {place}"
