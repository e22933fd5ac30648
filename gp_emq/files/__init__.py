"""Reading what others wrote and writing what others read: bounded, checked, whole or not at all."""

from gp_emq.files._arrays import open_array, read_npz
from gp_emq.files._code import code_sha256
from gp_emq.files._documents import (
    check_document,
    check_format,
    decode_document,
    decode_toml,
    read_document,
    read_toml,
)
from gp_emq.files._entries import entry_of, open_entry, read_entry, write_entry
from gp_emq.files._images import read_image
from gp_emq.files._messages import one_line, shortened
from gp_emq.files._names import is_code, refuse_code
from gp_emq.files._pickles import check_pickle, check_pickles
from gp_emq.files._reading import read_bytes, read_rows, read_text
from gp_emq.files._tensors import load_checkpoint_file, parse_tensors, read_tensors
from gp_emq.files._writing import atomic_write_bytes, atomic_write_text

__all__ = [
    "atomic_write_bytes",
    "atomic_write_text",
    "check_document",
    "check_format",
    "check_pickle",
    "check_pickles",
    "code_sha256",
    "decode_document",
    "decode_toml",
    "entry_of",
    "is_code",
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
    "read_text",
    "read_toml",
    "refuse_code",
    "shortened",
    "write_entry",
]
