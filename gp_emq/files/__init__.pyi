from ._arrays import open_array, read_npz
from ._code import code_sha256
from ._documents import (
    check_document,
    check_format,
    decode_document,
    read_document,
    read_toml,
    write_document,
)
from ._entries import entry_of, open_entry, read_entry, write_entry
from ._images import read_image
from ._literals import literal_calls
from ._messages import did_you_mean, one_line, shortened
from ._names import is_code, refuse_code
from ._pickles import check_pickle
from ._reading import read_bytes, read_rows
from ._tensors import load_checkpoint_file, parse_tensors, read_tensors
from ._writing import atomic_write_bytes, atomic_write_text

__all__ = [
    "atomic_write_bytes",
    "atomic_write_text",
    "check_document",
    "check_format",
    "check_pickle",
    "code_sha256",
    "decode_document",
    "did_you_mean",
    "entry_of",
    "is_code",
    "literal_calls",
    "load_checkpoint_file",
    "one_line",
    "open_array",
    "open_entry",
    "parse_tensors",
    "read_bytes",
    "read_document",
    "read_entry",
    "read_image",
    "read_npz",
    "read_rows",
    "read_tensors",
    "read_toml",
    "refuse_code",
    "shortened",
    "write_document",
    "write_entry",
]
