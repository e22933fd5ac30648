"""Mutations that know the formats: they change what is inside, and seal it again."""

import io
import json
import pickle
import re
import sqlite3
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

from gp_emq.files import entry_of

from ._scratch import scratch
from ._values import json_value, number_bytes

Mutation = Callable[[bytes, Random], bytes]

MOST_BYTES = 2**20
_RAW = "@@raw@@"


def any_of(*mutations: Mutation) -> Mutation:
    """Do one of several."""

    def mutate(content: bytes, random: Random) -> bytes:
        return random.choice(mutations)(content, random)

    return mutate


def of_bytes(content: bytes, random: Random) -> bytes:
    """Flip, cut, repeat, insert or overwrite bytes."""
    changed = bytearray(content)
    place = random.randrange(len(changed) + 1)
    length = min(len(changed) - place, random.choice((1, 2, 4, 8, 16, 64)))
    match random.randrange(6):
        case 0 if changed:
            changed[min(place, len(changed) - 1)] ^= 1 << random.randrange(8)
        case 1:
            del changed[place : place + length]
        case 2:
            changed[place:place] = changed[place : place + length] * random.choice((1, 3, 50))
        case 3:
            changed[place : place + length] = number_bytes(random)
        case 4:
            changed[place:place] = random.randbytes(length)
        case _:
            del changed[place:]
    return bytes(changed[:MOST_BYTES])


def of_text(content: bytes, random: Random) -> bytes:
    """Replace, repeat or drop words, cells and lines."""
    text = content.decode("utf-8", errors="surrogateescape")
    lines = text.splitlines(keepends=True) or [""]
    match random.randrange(5):
        case 0:
            words = list(re.finditer(r"[\w.+-]+", text))
            if words:
                word = random.choice(words)
                text = text[: word.start()] + json_value(random) + text[word.end() :]
        case 1:
            lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
            text = "".join(lines)
        case 2:
            del lines[random.randrange(len(lines))]
            text = "".join(lines)
        case 3:
            place = random.randrange(len(text) + 1)
            piece = random.choice((",", ":", "=", '"', "'", "[", "]]", "{", "\n", "\r", "\0", "\\"))
            text = text[:place] + piece * random.choice((1, 1, 2, 1000)) + text[place:]
        case _:
            text = text.replace(random.choice((",", ":", "=", "\n")), json_value(random)[:50], 3)
    return text.encode("utf-8", errors="surrogateescape")[:MOST_BYTES]


def of_json(content: bytes, random: Random) -> bytes:
    """Change one place of a JSON document."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return of_text(content, random)
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, dict | list):
            continue
        keys: Any = found if isinstance(found, dict) else range(len(found))
        for key in keys:
            places.append((found, key))
            if isinstance(found[key], dict | list):
                waiting.append(found[key])
    raw = json_value(random)
    if not places:
        return raw.encode()
    holder, key = random.choice(places)
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(("", "format", "name", f"{key}x"))] = holder[key]
        case 2 if isinstance(holder, list):
            holder.extend(holder[: random.choice((1, 5))] * random.choice((1, 100)))
        case _:
            holder[key] = _RAW
    text = json.dumps(document).replace(f'"{_RAW}"', raw or "0", 1)
    return text.encode("utf-8", errors="surrogatepass")[:MOST_BYTES]


def in_entry(key: str, inner: Mutation) -> Mutation:
    """Change the content of an entry of a cache, and seal it again."""

    def mutate(content: bytes, random: Random) -> bytes:
        _, _, inside = content.partition(b"\n")
        return entry_of(key, inner(inside, random))

    return mutate


def of_safetensors(content: bytes, random: Random) -> bytes:
    """Change the header of a safetensors file, or the JSON inside its metadata."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    try:
        document = json.loads(header)
        metadata = document.get("__metadata__") or {}
    except (ValueError, AttributeError, RecursionError):
        return of_bytes(content, random)
    if metadata and random.random() < 0.6:
        key = random.choice(list(metadata))
        line, newline, rest = str(metadata[key]).partition("\n")
        changed = of_json(line.encode("utf-8", "surrogatepass"), random)
        metadata[key] = changed.decode("utf-8", "replace") + newline + rest
        header = json.dumps(document).encode()
    elif random.random() < 0.3:
        name = random.choice(list(document))
        if isinstance(document[name], dict) and "dtype" in document[name]:
            kinds = ("F8_E4M3", "F8_E5M2", "BF16", "F64", "I64", "U16", "U64", "BOOL", "F4")
            document[name]["dtype"] = random.choice(kinds)
        header = json.dumps(document).encode()
    elif random.random() < 0.5:
        header = of_json(header, random)
    else:
        data = of_bytes(data, random)
    return (len(header).to_bytes(8, "little") + header + data)[:MOST_BYTES]


def of_array(content: bytes, random: Random) -> bytes:
    """Change the header of an `.npy` file."""
    place = content.find(b"\n")
    if place < 0:
        return of_bytes(content, random)
    header, data = content[:place], content[place:]
    kinds = (
        b"'<f4'",
        b"'|O'",
        b"'<f8'",
        b"'<U9999999'",
        b"'>i2'",
        b"'<c16'",
        b"'|V0'",
        b"[('a','O')]",
    )
    shapes = (
        b"(1000000000000,)",
        b"(-1,)",
        b"(0, 1099511627776)",
        b"()",
        b"(2, 3",
        b"(99999999,) * 9",
    )
    match random.randrange(4):
        case 0:
            header = re.sub(
                rb"'[<>|=][a-zA-Z]\d+'", lambda _: random.choice(kinds), header, count=1
            )
        case 1:
            header = re.sub(rb"\([^)]*\)", lambda _: random.choice(shapes), header, count=1)
        case 2:
            header = of_text(header, random)
        case _:
            data = of_bytes(data, random)
    return (header + data)[:MOST_BYTES]


_SNIPPETS = (
    b"r\xff\xff\xff\x7f",
    b"q\xff",
    b"j\xff\xff\xff\xff",
    b"(" * 400,
    b"]" * 400,
    b"2" * 20,
    b"\x86",
    b"2\x86" * 40,
    b"\x8b\xff\xff\xff\x7f",
    b"\x8a\xff" + b"\xff" * 255,
    b"B\xff\xff\xff\x7f",
    b"\x8e" + b"\xff" * 8,
    b"X\xff\xff\xff\x7f",
    b"cos\nsystem\n",
    b"\x93",
    b"R",
    b"b",
    b"\x81",
    b"Pid\n",
    b"Q",
    b"\x94",
    b"0",
    b"1",
    b"I" + b"9" * 5000 + b"\n",
    b"L" + b"9" * 5000 + b"L\n",
    b"Fnan\n",
    b"\x95" + b"\xff" * 8,
    b"\x80\x05",
    b"\x98",
    b"\x96" + b"\xff" * 8,
    b"(d",
    b"s",
    b"u",
    b"e",
    b"a",
    b"t",
    b"l",
    b"N",
    b"\x88",
    b"K\x02",
    b"h\x00",
)


def of_pickle(content: bytes, random: Random) -> bytes:
    """Put operations into a pickle, or take some out."""
    if random.random() < 0.1:
        return bomb(random)
    place = random.randrange(len(content) + 1)
    piece = random.choice(_SNIPPETS) * random.choice((1, 1, 1, 3))
    cut = random.choice((0, 0, 1, 2))
    return (content[:place] + piece + content[place + cut :])[:MOST_BYTES]


def bomb(random: Random) -> bytes:
    """Give a short pickle that would be large, deep or slow."""
    levels = random.choice((30, 60, 200))
    match random.randrange(5):
        case 0:  # a key that takes 2^levels steps to hash
            return b"}K\x01" + b"2\x86" * levels + b"K\x01s."
        case 1:  # a memo of two thousand million places
            return b"\x80\x02]r" + random.choice((b"\xff\xff\xff\x7f", b"\x00\x00\x00\x08")) + b"."
        case 2:  # lists in lists
            return b"\x80\x02" + b"]" * 3000 + b"a" * 2999 + b"."
        case 3:  # a table whose configuration unfolds
            lists = b"".join(
                b"(l(" + b"h%c" % k * 9 + b"lq%c" % (k + 1) for k in range(levels % 50)
            )
            return b"(lq\x000}X\x01\x00\x00\x00a" + lists + b"s."
        case _:  # more bytes than there are
            return b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"."


def in_zip(inner: Mutation, *, ending: str, packed: bool) -> Mutation:
    """Change a member of a zip archive."""

    def mutate(content: bytes, random: Random) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
        except Exception:  # noqa: BLE001 - an archive that was mutated before may do anything
            return of_bytes(content, random)
        inside = [name for name in members if name.endswith(ending)] or list(members)
        if not inside:
            return of_bytes(content, random)
        name = random.choice(inside)
        if random.random() < 0.1:
            del members[name]
        else:
            members[name] = inner(members[name], random)
        kind = zipfile.ZIP_DEFLATED if packed and random.random() < 0.3 else zipfile.ZIP_STORED
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", kind) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return made.getvalue()[:MOST_BYTES]

    return mutate


_CELLS = (
    "NULL",
    "-1",
    "0",
    "9223372036854775807",
    "1e308",
    "'x'",
    "''",
    "x'00'",
    "zeroblob(64)",
    "'[]'",
    "'{}'",
    "'[1e99]'",
    "'null'",
    "'[' || replace(hex(zeroblob(5000)), '00', '[')",
    "'\"a:b\"'",
    "'NaN'",
    "9e999",
    "'<O8'",
    "'|V0'",
    "'[99999999,99999999]'",
    "'[-1]'",
    "replace(hex(zeroblob(5000)), '00', '9')",
)


def of_database(content: bytes, random: Random) -> bytes:
    """Put another value into a cell of a run's store, mostly behind its checksums."""
    with scratch() as folder:
        path = folder / "store"
        path.write_bytes(content)
        try:
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = MEMORY")
                _change_cell(connection, random)
            finally:
                connection.close()
        except sqlite3.Error:
            return of_bytes(content, random)
        return path.read_bytes()


def _change_cell(connection: sqlite3.Connection, random: Random) -> None:
    if random.random() < 0.9:
        connection.execute("DROP TABLE IF EXISTS checksums")
    table = random.choice(("meta", "meta", "arrays", "individuals", "generations"))
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]  # noqa: S608
    if not columns or not rows:
        return
    column, row = random.choice(columns), random.choice(rows)
    if random.random() < 0.1:
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
    elif table == "meta" and random.random() < 0.7:
        query = "SELECT value FROM meta WHERE rowid = ?"
        text = str(connection.execute(query, (row,)).fetchone()[0])
        changed = of_json(text.encode("utf-8", "replace"), random).decode("utf-8", "replace")
        connection.execute("UPDATE meta SET value = ? WHERE rowid = ?", (changed, row))
    else:
        value = random.choice(_CELLS)
        update = f"UPDATE {table} SET {column} = {value} WHERE rowid = {row}"  # noqa: S608
        connection.execute(update)


def from_table(table: dict[int, Any]) -> Mutation:
    """Change a table of plain values as if it were JSON, and pickle what comes out."""

    def mutate(content: bytes, random: Random) -> bytes:
        try:
            changed = json.loads(of_json(json.dumps(table).encode(), random))
            return pickle.dumps(changed, protocol=random.randrange(5))
        except (ValueError, RecursionError):
            return of_pickle(content, random)

    return mutate
