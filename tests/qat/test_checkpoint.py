"""Checkpoints: believed only whole, and gone on with by the same code alone."""

from dataclasses import replace

import pytest
import torch

from gp_emq.errors import TrainingError
from gp_emq.qat._checkpoint import Checkpoint, EpochRecord, load_checkpoint, save_checkpoint

RECORD = EpochRecord(1, 2, 0.1, 0.5, 0.75, None, 1.5)
CHECKPOINT = Checkpoint({"seed": "0", "code": "a"}, {"w": torch.ones(3)}, {}, {}, (RECORD,))


def test_a_checkpoint_reads_back(tmp_path) -> None:
    assert load_checkpoint(tmp_path, {}) is None
    save_checkpoint(tmp_path, CHECKPOINT)
    found = load_checkpoint(tmp_path, CHECKPOINT.description)
    assert found is not None
    assert torch.equal(found.network["w"], torch.ones(3))
    assert replace(found, network={}) == replace(CHECKPOINT, network={})


def test_a_flipped_bit_anywhere_is_refused(tmp_path) -> None:
    save_checkpoint(tmp_path, CHECKPOINT)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    for place in range(0, len(whole), 13):
        content = bytearray(whole)
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(TrainingError, match="is damaged: its checksum is not right"):
            load_checkpoint(tmp_path, CHECKPOINT.description)


def test_another_code_is_said_to_be_another_code(tmp_path) -> None:
    save_checkpoint(tmp_path, CHECKPOINT)
    with pytest.raises(TrainingError, match="was written by another version of the code"):
        load_checkpoint(tmp_path, {"seed": "0", "code": "b"})
    with pytest.raises(TrainingError, match="its seed is 0, not 1"):
        load_checkpoint(tmp_path, {"seed": "1", "code": "a"})
