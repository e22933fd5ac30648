"""What a build has measured so far, in a file that survives being killed at any moment."""

import base64
import binascii
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import BenchError, GpEmqError, RunError
from gp_emq.mqbench._form import Form, Found


class PartialResults:
    """An append-only file of measured configurations, one checked line for each.

    A line holds the widths, what was measured in base64, and a checksum of both. A line
    that was cut off by a kill fails its check and is dropped when the file is opened again; one
    that was damaged since is passed over, and what it said is measured again.

    Args:
        path: the file.
        fingerprint: sha256 of all settings that decide the results.
        code: sha256 of the code that measures them.
        entries: widths of a configuration.
        form: in which the metric is kept.

    Raises:
        BenchError: if the file cannot be written, belongs to a build with other settings or by
            other code, or another process is writing it.
    """

    def __init__(
        self, path: Path, fingerprint: str, code: str, *, entries: int, form: Form
    ) -> None:
        self.path = path
        self._entries, self._form = entries, form
        self.measured: dict[bytes, Found] = {}
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise BenchError(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise BenchError(f"another build is writing {path}") from error
        try:
            self._recover(fingerprint, code)
        except GpEmqError:
            self._file.close()
            raise

    def add(self, configuration: Sequence[int] | NDArray[np.int8], found: Found) -> None:
        """Append what was measured of one configuration and see it safely on disk.

        Raises:
            RunError: the disk does not take it.
        """
        key = np.asarray(configuration, dtype=np.int8).tobytes()
        text = key.hex().encode() + b" " + base64.b64encode(found.tobytes())
        self._append(text + b" %08x\n" % binascii.crc32(text))
        self.measured[key] = found

    def close(self) -> None:
        """Close the file and keep it."""
        self._file.close()

    def discard(self) -> None:
        """Close the file and remove it: its results are elsewhere now."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _append(self, content: bytes) -> None:
        # Without a buffer: what does not fit is not tried again when the file is closed.
        try:
            while content:
                content = content[os.write(self._file.fileno(), content) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}") from error

    def _recover(self, fingerprint: str, code: str) -> None:
        header = f"gp_emq bench build {fingerprint} {code}\n".encode()
        self._file.seek(0)
        content = self._file.read()
        first, newline, _ = content.partition(b"\n")
        if not newline and header.startswith(content):
            self._file.truncate(0)
            self._append(header)
            return
        if first + newline != header:
            same = first.split(b" ")[:4] == header.split(b" ")[:4]
            raise BenchError(
                f"{self.path} is left from a build "
                + ("by another version of the code" if same else "with other settings")
                + ": finish that one, or remove the file"
            )
        complete = content.rpartition(b"\n")[0] + b"\n"
        for line in complete[len(header) :].splitlines(keepends=True):
            record = _parse(line, self._entries, self._form)
            if record is not None:
                self.measured[record[0]] = record[1]
        self._file.truncate(len(complete))


def _parse(line: bytes, entries: int, form: Form) -> tuple[bytes, Found] | None:
    text, _, checksum = line.rpartition(b" ")
    if checksum != b"%08x\n" % binascii.crc32(text):
        return None
    key, _, values = text.partition(b" ")
    try:
        widths = bytes.fromhex(key.decode("ascii"))
        found: Found = np.frombuffer(base64.b64decode(values, validate=True), dtype=form.dtype)
    except ValueError:
        return None
    return (widths, found) if (len(widths), len(found)) == (entries, form.length) else None


@contextmanager
def partial_results(
    path: Path, fingerprint: str, code: str, *, entries: int, form: Form
) -> Iterator[PartialResults]:
    """Open the partial results of a build, and close them whatever happens."""
    results = PartialResults(path, fingerprint, code, entries=entries, form=form)
    try:
        yield results
    finally:
        results.close()
