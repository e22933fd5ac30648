"""What augmentation makes of images, against the pixels that went in."""

import torch

from gp_emq.networks import Augmentation

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
