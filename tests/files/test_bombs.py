"""Short files that ask for much: each is refused in one line before it is given anything."""

import json
import pickle
import resource
import sqlite3
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from PIL import Image

from gp_emq.allocation import load_plan
from gp_emq.errors import AllocationError, DataError, GpEmqError, NetworkError
from gp_emq.files import check_pickle, decode_document, one_line, read_image, shortened
from gp_emq.mqbench import import_bench
from gp_emq.networks._arrays import read_arrays
from gp_emq.networks._weights import read_state_dict
from gp_emq.options import options_from_file
from gp_emq.store import STORE_NAME, GenerationRow, IndividualRow, RunStore

DOUBLED = b"K\x01" + b"2\x86" * 200
"""An integer, and a pair of what was last on the stack, two hundred times: 2^200 objects."""

PICKLES = {
    "a memo of two thousand million places": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a memo of a hundred million places": b"\x80\x02]r\x00\xe1\xf5\x05.",
    "a key of 2^200 parts": b"}" + DOUBLED + b"K\x01s.",
    "a value of 2^200 parts": b"}K\x01" + DOUBLED + b"s.",
    "a hundred thousand levels": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a million operations": b"\x80\x02" + b"]0" * 500_000 + b"N.",
    "a terabyte of text": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b".",
    "an integer of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "an integer of 999 bytes": b"\x8b" + (999).to_bytes(4, "little") + b"\x7f" * 999 + b".",
    "a name that takes long to complain about": b"\x80\x02ccollections" + b"9" * 15_000 + b"\nx\n.",
    "nothing to take": b"\x80\x02su.",
    "memory of something else": b"\x80\x02h\x07.",
}


def refused(call, *arguments, error: type[GpEmqError], most: float = 3.0, **options) -> str:
    """Call something that must be refused, quickly, in one short line and in little memory."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert time.process_time() - start < most
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_counted_before_it_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bench"
    path.write_bytes(PICKLES[name])
    refused(import_bench, path, network="digits", error=GpEmqError)
    checkpoint = tmp_path / "weights.pth"
    checkpoint.write_bytes(PICKLES[name])
    refused(read_state_dict, checkpoint, error=NetworkError)


def test_honest_pickles_pass(tmp_path: Path) -> None:
    shared = ["a"] * 5
    for value in (shared, {"x": shared, "y": [shared, (shared, 2**60)]}, {1: {2: {3: None}}}):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            path = tmp_path / "p"
            path.write_bytes(pickle.dumps(value, protocol))
            with path.open("rb") as file:
                check_pickle(file, GpEmqError, "it", calls=False)
    state = OrderedDict((f"layer{k}.weight", torch.zeros(1)) for k in range(500))
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pth"
        torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=zipped)
        assert read_state_dict(path).keys() == state.keys()


def test_a_checkpoint_that_unfolds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"x": torch.zeros(2_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 100_000
    assert "packed" in refused(read_state_dict, path, error=NetworkError)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"shape": (10**12,), "descr": "<f4"}, b""),
        ({"shape": (10**6, 10**6), "descr": "<f4"}, b"\0" * 64),
        ({"shape": (4,), "descr": "|O"}, b"\0" * 32),
        ({"shape": (-4,), "descr": "<f4"}, b"\0" * 16),
        ({"shape": (4,), "descr": "<U99999999"}, b"\0" * 16),
        ({"shape": (2**40,), "descr": "|V0"}, b""),
    ],
)
def test_a_header_asks_for_no_more_than_is_there(tmp_path: Path, header, data) -> None:
    path = tmp_path / "images.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w") as member:
        npy.write_array_header_1_0(member, {"fortran_order": False, **header})
        member.write(data)
    refused(read_arrays, path, error=DataError)


def test_arrays_that_are_packed_still_read(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, x=np.zeros((40, 3, 64, 64), np.float32), y=np.arange(40))
    images, labels = read_arrays(path)
    assert images.shape == (40, 3, 64, 64)
    assert labels.tolist() == list(range(40))


def test_a_picture_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (9_000, 9_000)).save(path)
    assert path.stat().st_size < 2**20
    assert "81,000,000 pixels" in refused(read_image, path, error=DataError)


DOCUMENTS = {
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "many digits": '{"format": 1, "x": ' + "9" * 100_000 + "}",
    "a number beyond 64 bits": '{"format": 1, "score": 18446744073709551616}',
    "a long key": '{"format": 1, "' + "x" * 100_000 + '": 1}',
    "a long text": '{"format": "' + "x" * 100_000 + '"}',
    "half a character": '{"format": 1, "bits": "\\ud800"}',
    "not finite": '{"format": 1, "score": NaN}',
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_refused_in_one_short_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(DOCUMENTS[name])
    refused(load_plan, path, error=AllocationError)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 100_000 + "]" * 100_000,
        "x = " + "9" * 100_000,
        "x = 0x" + "f" * 100_000,
        "x = [[1]]",
        "x = 2020-01-01",
        "x" * 100_000 + " = [[1]]",
        "x.y.z = 1",
        '"" = nonsense',
    ],
)
def test_a_configuration_is_refused_in_one_short_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    refused(options_from_file, ["--config", str(path)], error=GpEmqError)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meta SET value = '" + "[" * 100_000 + "' WHERE key = 'config'",
        "UPDATE individuals SET size = 'large'",
        "UPDATE individuals SET sign = 3",
        "UPDATE individuals SET parents = '[1e3]'",
        "UPDATE individuals SET training_tau = x'00'",
        "UPDATE generations SET evaluations = -1",
        "UPDATE generations SET population = '[99999999999999999999]'",
        "UPDATE arrays SET dtype = '|O8'",
        "UPDATE arrays SET dtype = '" + "9" * 5000 + "'",
        "UPDATE arrays SET shape = '[99999999, 99999999]'",
    ],
)
def test_values_of_another_type_in_a_store_are_refused(tmp_path: Path, change: str) -> None:
    rows = [
        IndividualRow(
            id=0, generation=0, place=0, attempt=0, operator="seed", parents=(), expression="bits",
            canonical="bits", size=1, depth=0, training_tau=0.5, validation_tau=0.5, sign=1,
        )
    ]  # fmt: skip
    generation = GenerationRow(
        generation=0, population=(0,), best_training=0.5, median_training=0.5, best_validation=0.5,
        diversity=0.0, evaluations=1, proposals=1, rejections={}, seconds=0.0,
    )  # fmt: skip
    with RunStore.create(tmp_path, {"config": {}}, {"bits": np.array([2, 3])}) as store:
        store.commit_generation(rows, generation)
    connection = sqlite3.connect(tmp_path / STORE_NAME)
    with connection:
        connection.execute("DROP TABLE checksums")
        connection.execute(change)
    connection.close()

    def everything() -> None:
        with RunStore.open(tmp_path) as store:
            store.individuals()
            store.generations()
            for name in store.array_names():
                store.array(name)
            store.meta_as("config", dict)

    refused(everything, error=GpEmqError)


def test_long_values_are_shortened() -> None:
    for value in (
        "x" * 10**6,
        [[[[1] * 99] * 99] * 99],
        10**9999,
        dict.fromkeys(range(99), "y" * 999),
    ):
        assert len(shortened(value)) <= 80
    assert shortened("short") == "'short'"
    assert one_line(ValueError("first\nsecond")) == "first"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("z" * 9999))) <= 160


def test_a_document_of_more_than_there_should_be_is_refused() -> None:
    text = json.dumps(["x" * 2**20] * 17)
    refused(decode_document, text, list[str], GpEmqError, "it", error=GpEmqError)
