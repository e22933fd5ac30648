"""The images of every step: who loads them, and with whom, changes no pixel."""

import pytest
import torch

from gp_emq.errors import DataError
from gp_emq.networks import Augmentation, load_images
from gp_emq.qat import Samples, TensorImages
from gp_emq.qat._samples import EpochBatches, FileImages


def batches(count: int, batch: int, *, epoch: int = 0, seed: int = 0, rank: int = 0, processes=1):
    sampler = EpochBatches(count, batch, seed, rank=rank, processes=processes)
    sampler.epoch = epoch
    return list(sampler)


def indices(found) -> list[int]:
    return [index for keys in found for _, _, index in keys]


def test_an_epoch_shows_every_image_at_most_once_and_fills_all_batches() -> None:
    found = batches(23, 5)
    assert [len(keys) for keys in found] == [5] * 4
    assert len(set(indices(found))) == 20
    assert {key[:2] for keys in batches(23, 5, epoch=3, seed=7) for key in keys} == {(7, 3)}


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [indices(batches(50, 5, epoch=e, seed=s)) for e in (0, 1) for s in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == indices(batches(50, 5))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_out_the_batches_of_one(processes: int) -> None:
    alone = batches(50, 8)
    parts = [batches(50, 8, rank=rank, processes=processes) for rank in range(processes)]
    for step, keys in enumerate(alone):
        assert [key for part in parts for key in part[step]] == keys


def test_a_sample_is_decided_by_its_key_alone() -> None:
    training = load_images("digits", part="training")
    samples = Samples(TensorImages(training.images, training.labels), Augmentation("digits", 8))
    torch.manual_seed(1)
    first, label = samples[0, 3, 5]
    torch.manual_seed(2)
    assert torch.equal(samples[0, 3, 5][0], first)
    assert label == int(training.labels[5])
    assert not torch.equal(samples[0, 4, 5][0], first)
    assert not torch.equal(samples[1, 3, 5][0], first)


def test_a_file_that_is_no_image_is_named(tmp_path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"broken\.png does not read as an image"):
        FileImages([(path, 0)]).fetch(0)


def test_images_and_labels_go_together() -> None:
    with pytest.raises(DataError, match="3 training images, but 2 labels"):
        TensorImages(torch.zeros(3, 1, 8, 8), torch.zeros(2, dtype=torch.long))
