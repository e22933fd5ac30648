"""What augmentation makes of images, against the pixels that went in."""

import numpy as np
import pytest
import torch
from PIL import Image

from gp_emq.errors import DataError
from gp_emq.networks import Augmentation, import_torchvision, load_images

MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def test_cifar_images_are_shifted_and_mirrored_over_black() -> None:
    """Every augmented image is found in the padded one, mirrored or not."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 32, 32, generator=generator)
    padded = (-MEAN / DEVIATION)[:, None, None].expand(3, 40, 40).clone()
    padded[:, 4:36, 4:36] = image
    windows = padded.unfold(1, 32, 1).unfold(2, 32, 1)
    augment = Augmentation("cifar10", 32)
    places = set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(40):
            found = augment(image)
            for mirrored in (False, True):
                wanted = found.flip(2) if mirrored else found
                equal = torch.isclose(windows, wanted[:, None, None]).all(dim=(0, 3, 4))
                places |= {(mirrored, *place) for place in equal.nonzero().tolist()}
    # 40 draws of 162 places hit about 35 of them.
    assert len(places) > 25
    assert {place[0] for place in places} == {False, True}


def test_imagenet_images_come_out_square_and_normalized() -> None:
    pixels = torch.full((3, 60, 90), 128, dtype=torch.uint8)
    grey = ((128 / 255 - MEAN) / DEVIATION)[:, None, None].expand(3, 48, 48)
    with torch.random.fork_rng():
        for name in ("imagenet", "imagenet-test"):
            torch.testing.assert_close(Augmentation(name, 48)(pixels), grey)


def test_the_centre_of_a_test_image_is_taken() -> None:
    """A test image of the size it is resized to keeps its pixels, and loses its borders."""
    pixels = torch.randint(0, 256, (3, 256, 300), generator=torch.Generator().manual_seed(0))
    centre = pixels[:, 16:240, 38:262]
    expected = (centre / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]
    found = Augmentation("imagenet-test", 224)(pixels.to(torch.uint8))
    torch.testing.assert_close(found, expected)


def test_digits_are_shifted_by_a_pixel_at_most_and_get_noise() -> None:
    image = torch.zeros(1, 8, 8)
    image[0, 4, 4] = 100.0
    augment = Augmentation("digits", 8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = torch.stack([augment(image)[0] for _ in range(200)])
    places = {divmod(int(draw.argmax()), 8) for draw in draws}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
    # Noise of 0.15 on pixels in [0, 1], which are then divided by 0.4; the border may be black.
    noise = draws[:, 2:7, 1:3].std()
    assert abs(float(noise) - 0.15 / 0.4) < 0.02


SIZES = [
    (500, 375),
    (256, 256),
    (255, 300),
    (240, 225),
    (224, 224),
    (227, 227),
    (300, 223),
    (64, 91),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [224, 192])
def test_test_images_are_prepared_as_torchvision_does(size, side, tmp_path) -> None:
    """Read from files or given as pixels, an image is what torchvision's own preset makes of it."""
    presets = import_torchvision("transforms._presets")
    preset = presets.ImageClassification(crop_size=side, resize_size=round(side * 256 / 224))
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = preset(image)
    given = Augmentation("imagenet-test", side)(torch.from_numpy(pixels).permute(2, 0, 1))
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)
    if side == 224:
        image.save(tmp_path / "a.png")
        (tmp_path / "labels.csv").write_text("a.png,1\n")
        read = load_images("imagenet", [tmp_path, tmp_path / "labels.csv"])
        torch.testing.assert_close(read.images[0], expected, rtol=0, atol=1e-6)


def test_images_that_were_resized_before_keep_their_pixels(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (227, 250, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("a.png,1\n")
    paths = [tmp_path, tmp_path / "labels.csv"]
    found = load_images("imagenet-resized", paths).images[0]
    centre = torch.from_numpy(pixels)[1:225, 13:237].permute(2, 0, 1)
    expected = (centre / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]
    torch.testing.assert_close(found, expected)
    Image.fromarray(pixels[:200]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="250x200 pixels was not resized"):
        load_images("imagenet-resized", paths)
