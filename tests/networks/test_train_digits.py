import pytest
import safetensors.torch
import torch

from gp_emq.errors import RunError
from gp_emq.networks import load_images, load_network, train_digits


def test_training_repeats_to_the_last_bit():
    first, second = train_digits.train_digits(epochs=1), train_digits.train_digits(epochs=1)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_the_embedded_network_is_accurate():
    test = load_images("digits", part="test")
    assert train_digits.accuracy(load_network("digits"), test.images, test.labels) > 0.95


def test_the_command_writes_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        train_digits, "train_digits", lambda original=train_digits.train_digits: original(1)
    )
    out = tmp_path / "w.safetensors"
    monkeypatch.setattr("sys.argv", ["train_digits", "--out", str(out)])
    train_digits.main()
    assert "% of the distorted test images" in capsys.readouterr().out
    assert safetensors.torch.load_file(out)["conv1.weight"].shape == (8, 1, 3, 3)


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train_digits", "--out", str(tmp_path / "no" / "w")])
    with pytest.raises(RunError, match="there is no folder"):
        train_digits.main()
