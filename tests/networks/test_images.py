import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from gp_emq.errors import DataError
from gp_emq.networks import _digits, load_images
from gp_emq.networks._digits import digits_split, distort
from gp_emq.networks._images import data_set_of, load_calibration, load_test


def test_digits_are_split_into_disjoint_parts():
    training, test = load_images("digits", part="training"), load_images("digits", part="test")
    assert training.images.shape == (797, 1, 8, 8)
    assert test.images.shape == (4000, 1, 8, 8)
    assert (training.groups, test.groups) == (797, 1000)
    assert torch.equal(test.labels[:1000], test.labels[3000:])
    (first, _), (second, _) = digits_split()
    assert first.min() == 0
    assert first.max() == 1
    assert len(first) + len(second) == 1797


@pytest.mark.parametrize("file", [_digits._FILE, "no/such/file"])
def test_digits_are_those_that_scikit_learn_loads(monkeypatch, file):
    monkeypatch.setattr(_digits, "_FILE", file)
    pixels, labels = load_digits(return_X_y=True)
    (first, of_first), (second, of_second) = digits_split()
    order = np.random.default_rng(0).permutation(1797)
    assert np.array_equal(torch.cat([first, second]).flatten(1).numpy() * 16, pixels[order])
    assert np.array_equal(torch.cat([of_first, of_second]).numpy(), labels[order])


def test_a_distorted_image_is_a_shifted_one_where_there_is_no_noise():
    image = torch.arange(64.0).view(1, 1, 8, 8).repeat(50, 1, 1, 1)
    shifted = distort(image, 0.0, np.random.default_rng(0))
    padded = torch.nn.functional.pad(image[:1], (1, 1, 1, 1))[0, 0]
    possible = [padded[r : r + 8, c : c + 8] for r in range(3) for c in range(3)]
    found = {next(i for i, p in enumerate(possible) if torch.equal(p, s[0])) for s in shifted}
    assert found == set(range(9))


def test_distortions_repeat_with_the_seed():
    first = load_images("digits", part="test")
    second = load_images("digits", part="test")
    assert first.sha256() == second.sha256()


def test_calibration_is_a_seeded_draw_without_replacement():
    training = load_images("digits", part="training")
    batch = load_calibration("digits", count=100, seed=3)
    again = load_calibration("digits", count=100, seed=3)
    other = load_calibration("digits", count=100, seed=4)
    assert batch.sha256() == again.sha256() != other.sha256()
    rows = {image.numpy().tobytes() for image in training.images}
    assert all(image.numpy().tobytes() in rows for image in batch.images)


@pytest.fixture
def cifar(tmp_path):
    generator = np.random.default_rng(0)
    for name, count in (("test", 20), ("train_a", 12), ("train_b", 8)):
        pixels = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", x=pixels, y=np.arange(count, dtype=np.uint8) % 10)
    return tmp_path


def test_cifar_files_are_told_apart_by_name(cifar):
    assert len(load_images("cifar10", [cifar], part="test").labels) == 20
    assert len(load_images("cifar10", [cifar], part="training").labels) == 20
    only = [cifar / "train_b.npz"]
    assert len(load_images("cifar10", only, part="training").labels) == 8
    assert load_images("cifar10", only, part="test") is None


def test_cifar_pixels_are_normalized(cifar):
    with np.load(cifar / "test.npz") as file:
        pixel = file["x"][3, 5, 7, 1]
    value = load_images("cifar10", [cifar]).images[3, 1, 5, 7]
    assert float(value) == pytest.approx((pixel / 255 - 0.456) / 0.224, abs=1e-6)


def test_without_training_images_calibration_and_test_are_disjoint(cifar):
    paths = [cifar / "test.npz"]
    batch = load_calibration("cifar10", paths, count=5, seed=0)
    rest = load_test("cifar10", paths, calibration=5, count=None, seed=0)
    assert len(rest.labels) == 15
    used = {image.numpy().tobytes() for image in batch.images}
    assert not used & {image.numpy().tobytes() for image in rest.images}


def test_test_images_keep_their_order_when_fewer_are_asked_for(cifar):
    everything = load_images("cifar10", [cifar])
    some = load_test("cifar10", [cifar], calibration=5, count=7, seed=1)
    places = [
        next(i for i, image in enumerate(everything.images) if torch.equal(image, chosen))
        for chosen in some.images
    ]
    assert places == sorted(places)
    assert len(set(places)) == 7


@pytest.mark.parametrize("count", [0, 20])
def test_a_calibration_batch_leaves_some_images(cifar, count):
    with pytest.raises(DataError, match="calibration images: give 1 to 19"):
        load_calibration("cifar10", [cifar], count=count, seed=0)


@pytest.mark.parametrize("count", [0, 21])
def test_more_test_images_than_there_are_is_an_error(cifar, count):
    with pytest.raises(DataError, match="there are 20"):
        load_test("cifar10", [cifar], calibration=5, count=count, seed=0)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((2, 3, 32, 32), np.uint8), "y": np.zeros(2, int)}, "x must be uint8"),
        ({"x": np.zeros((2, 32, 32, 3)), "y": np.zeros(2, int)}, "x must be uint8"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.zeros(3, int)}, "y must be 2 integers"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.full(2, 10)}, "labels 0 to 9"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8)}, "does not read as an .npz of x and y"),
    ],
)
def test_cifar_files_with_other_contents_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(DataError, match=re.escape(words)):
        load_images("cifar10", [tmp_path / "test.npz"])


def test_missing_data_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("GP_EMQ_DATA", raising=False)
    with pytest.raises(DataError, match="or set GP_EMQ_DATA"):
        load_images("cifar10")
    with pytest.raises(DataError, match=r"no imagenet data at .*gone"):
        load_images("imagenet", [tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"neither \.npz files nor cifar-10-batches-py"):
        load_images("cifar10", [tmp_path / "empty"])
    with pytest.raises(DataError, match="unknown data set 'mnist'"):
        load_images("mnist")


def test_imagenet_images_follow_their_list(tmp_path):
    folder = tmp_path / "val"
    folder.mkdir()
    Image.new("RGB", (227, 227), (255, 0, 0)).save(folder / "b.png")
    Image.new("RGB", (512, 300), (0, 255, 0)).save(folder / "a.png")
    (tmp_path / "val_labels.csv").write_text("file,label\nb.png,7\na.png,999\n")
    for paths in ([tmp_path / "val"], [folder, tmp_path / "val_labels.csv"]):
        images = load_images("imagenet", paths)
        assert images.images.shape == (2, 3, 224, 224)
        assert images.labels.tolist() == [999, 7]
        assert float(images.images[1, 0, 0, 0]) == pytest.approx((1 - 0.485) / 0.229, abs=1e-6)
    assert load_images("imagenet", [folder], part="training") is None


def test_imagenet_class_folders_are_labelled_in_order(tmp_path):
    for index in range(1000):
        (tmp_path / f"n{index:08d}").mkdir()
    Image.new("L", (224, 224)).save(tmp_path / "n00000421" / "x.JPEG")
    assert load_images("imagenet", [tmp_path]).labels.tolist() == [421]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.png,7\nb.png,seven\n", "line 2"),
        ("a.png,1000\n", "label below 1000"),
        ("missing.png,3\n", "no image"),
        ("file,label\n", "lists no images"),
        ("a.png,3\n", "does not read as an image"),
    ],
)
def test_wrong_lists_are_refused_with_their_line(tmp_path, text, words):
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes(b"no image")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        load_images("imagenet", [tmp_path])


def test_imagenet_needs_one_folder(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        load_images("imagenet", [tmp_path / "x"])
    with pytest.raises(DataError, match="one folder of images"):
        load_images("imagenet", [tmp_path, tmp_path / "x"])


def test_the_data_set_follows_the_network():
    assert data_set_of("mobilenet_v2", (3, 32, 32)) == "imagenet"
    assert data_set_of("mine:factory", (3, 32, 32)) == "cifar10"
    assert data_set_of("mine:factory", (3, 96, 96)) == "imagenet"
