import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gp_emq.errors import DataError
from gp_emq.networks._containers import image_batch

IMAGES = torch.arange(12 * 3 * 2 * 2, dtype=torch.float32).reshape(12, 3, 2, 2)
LABELS = torch.arange(12) % 4


class Pictures(Dataset):
    """A data set of bare images."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index >= 12:
            raise IndexError
        return IMAGES[index]


def batches(size):
    return [(IMAGES[i : i + size], LABELS[i : i + size]) for i in range(0, 12, size)]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES, LABELS),
        (IMAGES.double(), LABELS.int()),
        (IMAGES.numpy(), LABELS.numpy()),
        (IMAGES, LABELS.tolist()),
        (IMAGES, list(LABELS)),
        (list(IMAGES), tuple(LABELS.tolist())),
        (list(IMAGES.numpy()), LABELS),
        (tuple(IMAGES.half()), LABELS),
        ([IMAGES[:8], IMAGES[8:]], LABELS),
        (DataLoader(TensorDataset(IMAGES, LABELS), 5), None),
        (DataLoader(TensorDataset(IMAGES, LABELS), None), None),
        (DataLoader(TensorDataset(IMAGES), 5), LABELS),
        (DataLoader(Pictures(), 5), LABELS),
        (TensorDataset(IMAGES, LABELS), None),
        (Pictures(), LABELS),
        (batches(4), None),
        (iter(batches(5)), None),
        ((part for part, _ in batches(5)), LABELS),
        ((IMAGES, LABELS), None),
    ],
)
def test_every_container_gives_the_same_two_tensors(images, labels):
    found, answers = image_batch(images, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, IMAGES)
    assert answers.dtype == torch.int64
    assert torch.equal(answers, LABELS)


def test_images_may_come_without_labels():
    found, answers = image_batch(list(IMAGES))
    assert torch.equal(found, IMAGES)
    assert answers is None


def test_features_of_a_table_are_images_too():
    assert image_batch(np.ones((5, 7)))[0].shape == (5, 7)


def test_tensors_of_inference_mode_become_plain_ones():
    with torch.inference_mode():
        images, labels = IMAGES * 1, LABELS * 1
        found, answers = image_batch(images, labels)
    assert not found.is_inference()
    assert not answers.is_inference()


NOT_FINITE = IMAGES.clone()
NOT_FINITE[7, 1, 0, 1] = float("nan")


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        ([torch.ones(3, 4, 4), torch.ones(3, 5, 5)], None, r"one size.*\(3, 4, 4\).*\(3, 5, 5\)"),
        ("pictures/", None, "images are str: give a tensor"),
        (b"pictures", None, "images are bytes"),
        ({"x": IMAGES}, None, "images are dict"),
        (None, None, "images are NoneType"),
        (3, None, "images are int"),
        ([{"pixel_values": IMAGES}], None, "images are dict: give"),
        ([(IMAGES, LABELS, LABELS)], None, "groups of 3: .*masks"),
        ([], None, "there are no images"),
        (iter(()), None, "there are no images"),
        (np.array([["a"]]), None, "must be numbers"),
        (IMAGES.to(torch.complex64), None, "must be real"),
        (
            IMAGES[0],
            None,
            r"\(n, channels, height, width\), got \(3, 2, 2\); .* \({'x': ...}, labels\)",
        ),
        (IMAGES[:0], None, r"there are no images in a tensor of shape \(0, 3, 2, 2\)"),
        (NOT_FINITE, None, "image 7 holds"),
        (IMAGES, LABELS.float(), r"12 whole numbers, got torch\.float32"),
        (IMAGES, LABELS.numpy() / 2, "12 whole numbers, got"),
        (IMAGES, LABELS[:5], "12 whole numbers"),
        (IMAGES, [0.5] * 12, "12 whole numbers"),
        (IMAGES, ["cat"] * 12, "labels are list of str: give whole numbers"),
        (IMAGES, {"a": 1}, "labels are dict"),
        (IMAGES, torch.eye(12).long(), "12 whole numbers"),
        (TensorDataset(IMAGES, LABELS), LABELS, "give them once"),
        ([(IMAGES, LABELS), (IMAGES,)], None, "1 of 2 batches have labels"),
    ],
)
def test_what_is_no_batch_is_refused_in_one_line(images, labels, words):
    with pytest.raises(DataError, match=words) as caught:
        image_batch(images, labels)
    assert "\n" not in str(caught.value)


def test_nothing_given_is_changed():
    images, labels = IMAGES.clone().requires_grad_(), LABELS.numpy().copy()
    found, answers = image_batch(images, labels)
    answers += 1
    assert not found.requires_grad
    assert np.array_equal(labels, LABELS.numpy())
