"""Documents in JSON and TOML: written alike, and checked against the dataclass they become."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import one_line, shortened
from gp_emq.files._reading import MOST_TEXT, read_bytes
from gp_emq.files._writing import atomic_write_text

_Kind = TypeVar("_Kind")

_LARGEST = 2**63 - 1
_MISSING = re.compile("Object missing required field `(.*)`")
_EXPECTED = re.compile("Expected `([^`]*)`(?:, got .*)?")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_WORDS = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false",
    "array": "a list", "object": "an object",
}  # fmt: skip


def read_document(
    path: Path, kind: type[_Kind], error: type[GpEmqError], what: str, *, form: int | None = None
) -> _Kind:
    """Read a JSON file.

    Args:
        path: the file.
        kind: what its values become, such as a dataclass; see `check_document`.
        error: what is raised.
        what: it is, as in "the plan".
        form: the one number that its key `format` must have; None where it has none.

    Raises:
        GpEmqError: of the kind given: the file is missing, or no such document.
    """
    content = read_bytes(path, error, what, most=MOST_TEXT)
    return decode_document(content, kind, error, str(path), form=form)


def write_document(path: Path, values: Mapping[str, Any], *, form: int) -> None:
    """Write a JSON file that `read_document` reads; equal values give equal bytes.

    Args:
        path: the file; its folder must exist.
        values: of the document, without the key `format` or with the same one.
        form: the number of that key.

    Raises:
        RunError: the file cannot be written.
        ValueError: a number is not finite.
    """
    text = json.dumps(
        {**values, "format": form}, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False
    )
    atomic_write_text(path, text + "\n")


def decode_document(
    content: bytes | str,
    kind: type[_Kind],
    error: type[GpEmqError],
    where: str,
    *,
    form: int | None = None,
) -> _Kind:
    """Read JSON; the arguments are those of `read_document`, and `where` is its place."""
    if len(content) > MOST_TEXT:
        raise error(f"{where} is damaged: it has more than {MOST_TEXT >> 20} MiB of JSON")
    try:
        values = msgspec.json.decode(content)
    except (ValueError, RecursionError) as reason:
        raise error(f"{where} is damaged: it is no JSON ({one_line(reason)})") from reason
    if form is not None:
        values = check_format(values, form, error, where)
    return check_document(values, kind, error, where)


def read_toml(path: Path, error: type[GpEmqError], what: str) -> dict[str, Any]:
    """Read a TOML file; the arguments are those of `read_document`."""
    return decode_toml(read_bytes(path, error, what, most=MOST_TEXT // 16), error, f"{what} {path}")


def decode_toml(content: bytes, error: type[GpEmqError], where: str) -> dict[str, Any]:
    """Read TOML into a dictionary.

    Args:
        content: of the file.
        error: what is raised.
        where: its place, for complaints.

    Raises:
        GpEmqError: of the kind given: it is no TOML, or holds a number beyond 64 bits.
    """
    try:
        found: dict[str, Any] = msgspec.toml.decode(content)
    except (ValueError, RecursionError) as reason:
        raise error(f"{where} is no TOML: {one_line(reason)}") from reason
    _check_whole_numbers(found, error, where)
    return found


def check_document(values: object, kind: type[_Kind], error: type[GpEmqError], where: str) -> _Kind:
    """Make a dataclass, or another type, of plain values, once they are all of the right kind.

    Nothing is converted but whole numbers where any number may stand, and lists where a tuple
    stands. Keys that a dataclass does not have are refused, and so are integers beyond 64 bits.

    Args:
        values: what JSON or TOML holds.
        kind: the type, of dataclasses, mappings, tuples and plain values.
        error: what is raised.
        where: the values' place, for complaints.

    Raises:
        GpEmqError: of the kind given: something is missing, unknown or of another kind.
    """
    try:
        _check_whole_numbers(values, error, where)
        made = msgspec.convert(values, kind, strict=True)
        unknown = _unknown(values, msgspec.to_builtins(made), "$")
    except msgspec.ValidationError as reason:
        raise error(f"{where} is damaged: {_complaint(reason, values)}") from reason
    except (ValueError, RecursionError) as reason:
        raise error(f"{where} is damaged: {one_line(reason)}") from reason
    if unknown is not None:
        raise error(f"{where} is damaged: it has an unknown {shortened(unknown)}")
    return made


def check_format(values: object, form: int, error: type[GpEmqError], where: str) -> dict[str, Any]:
    """Check the key `format` of a document, and return the other ones.

    Args:
        values: what JSON holds.
        form: what the key must be.
        error: what is raised.
        where: the values' place, for complaints.

    Raises:
        GpEmqError: of the kind given: they are no object, or of another format.
    """
    if not isinstance(values, dict) or "format" not in values:
        raise error(f"{where} is of another kind: it has no format")
    if values["format"] != form or isinstance(values["format"], bool):
        found = shortened(values["format"], 40)
        raise error(f"{where} has format {found}; this version reads format {form}")
    return {key: value for key, value in values.items() if key != "format"}


def _check_whole_numbers(values: object, error: type[GpEmqError], where: str) -> None:
    """Refuse what 64 bits do not hold, wherever it stands."""
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            raise error(f"{where} is damaged: {shortened(value, 40)} is beyond 64 bits")


def _complaint(reason: msgspec.ValidationError, values: object) -> str:
    """Say what is wrong where, and what would be right."""
    what, _, path = str(reason).partition(" - at `")
    path = path.strip("`")
    place = path.removeprefix("$").removeprefix(".") or "it"
    if missing := _MISSING.fullmatch(what):
        return f"{place} lacks {missing[1]!r}"
    if expected := _EXPECTED.fullmatch(what):
        words = (_WORDS.get(kind, kind) for kind in expected[1].split(" | "))
        return f"{place} is {_at(values, path)}, not {' or '.join(words)}"
    return f"{place} is wrong: {one_line(reason)}"


def _at(values: object, path: str) -> str:
    """Write the value at a path, as the library writes paths."""
    found: Any = values
    for key, number in _STEP.findall(path):
        try:
            found = found[int(number)] if number else found[key]
        except (LookupError, TypeError):
            return "something else"
    return "something else" if "[...]" in path else shortened(found, 40)


def _unknown(given: object, made: object, place: str) -> str | None:
    """Name the first key that did not become part of what was made."""
    if isinstance(given, dict) and isinstance(made, Mapping):
        for key, value in given.items():
            if key not in made:
                return f"{place}.{key}".removeprefix("$.")
            found = _unknown(value, made[key], f"{place}.{key}")
            if found is not None:
                return found
    elif isinstance(given, list | tuple) and isinstance(made, list | tuple):
        for number, (one, other) in enumerate(zip(given, made, strict=False)):
            found = _unknown(one, other, f"{place}[{number}]")
            if found is not None:
                return found
    return None
