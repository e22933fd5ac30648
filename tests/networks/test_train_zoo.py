import numpy as np
import pytest
import torch

from gp_emq.errors import DataError, NetworkError
from gp_emq.networks import find_layers, load_images, load_network, train_zoo
from gp_emq.networks.zoo import ZOO

ON_DIGITS = [member for member in ZOO if member.data_set == "digits"]


@pytest.mark.parametrize("member", ZOO, ids=lambda member: member.name)
def test_every_network_is_small_and_gives_ten_logits(member):
    model = member.factory().eval()
    images = torch.randn(2, *member.input_shape)
    assert model(images).shape == (2, 10)
    assert 4 * sum(value.numel() for value in model.state_dict().values()) < 2**20
    assert len(find_layers(model, images[:1])) >= 8


def test_every_kind_is_on_digits():
    kinds = {
        data_set: [m.name.removesuffix(f"-{data_set}") for m in ZOO if m.data_set == data_set]
        for data_set in ("digits", "cifar10")
    }
    assert set(kinds["cifar10"]) < set(kinds["digits"])
    assert len(set(kinds["digits"])) == len(kinds["digits"]) >= 12


@pytest.mark.parametrize("member", [ON_DIGITS[0], ON_DIGITS[1]], ids=lambda member: member.name)
def test_an_interrupted_training_ends_in_the_same_weights(member, tmp_path):
    partial = tmp_path / "state"

    def stop(done: int, _loss: float) -> None:
        if done == 1:
            raise KeyboardInterrupt

    whole = train_zoo.train_member(member, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train_zoo.train_member(member, epochs=2, partial=partial, report=stop)
    resumed = train_zoo.train_member(member, epochs=2, partial=partial)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_state_of_another_training_is_refused(tmp_path):
    partial = tmp_path / "state"
    train_zoo.train_member(ON_DIGITS[0], epochs=1, partial=partial)
    with pytest.raises(DataError, match="of 1 epochs, not 2"):
        train_zoo.train_member(ON_DIGITS[0], epochs=2, partial=partial)
    partial.write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match="delete it"):
        train_zoo.train_member(ON_DIGITS[0], epochs=2, partial=partial)


def test_an_unknown_network_is_named():
    with pytest.raises(NetworkError, match="no network 'vgg'"):
        train_zoo.find_members(["vgg"])


def test_moved_images_are_windows_of_the_padded_or_mirrored_image():
    images = torch.arange(1.0, 3 * 6 * 6 + 1).view(1, 3, 6, 6).repeat(50, 1, 1, 1)
    moved = train_zoo.flip_and_shift(images, np.random.default_rng(0))
    padded = np.pad(images[0].numpy(), ((0, 0), (4, 4), (4, 4)))
    windows = {
        window.tobytes()
        for row in range(9)
        for column in range(9)
        for cut in [padded[:, row : row + 6, column : column + 6]]
        for window in (np.ascontiguousarray(cut), np.ascontiguousarray(cut[:, :, ::-1]))
    }
    found = {np.ascontiguousarray(image).tobytes() for image in moved.numpy()}
    assert found <= windows
    assert len(found) > 10


@pytest.mark.parametrize("member", ON_DIGITS, ids=lambda member: member.name)
def test_what_ships_is_accurate_and_registered(member):
    test = load_images("digits", part="test")
    network = load_network(member.name)
    assert train_zoo.accuracy(network.model, test.images[:1000], test.labels[:1000]) >= 0.95
