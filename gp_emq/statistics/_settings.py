"""What the user may choose about the collection of statistics."""

import math
from dataclasses import asdict, dataclass

from gp_emq.errors import StatisticsError


@dataclass(frozen=True)
class StatisticsSettings:
    """How statistics are collected; part of their fingerprint.

    Attributes:
        activation_images: Images kept per layer for activations, drawn from the batch.
        hessian_probes: Rademacher probes of Hutchinson's estimator; where images are so large that
            they go through in small chunks, these share them.
        power_iterations: Most steps of the power iteration for the top eigenvalue.
        power_tolerance: Relative change of an eigenvalue below which its iteration ends.
        seed: Seed of the images kept, of the probes and of the power iteration's start.
        chunk_images: Most images that go through the network at once.
        chunk_values: Most input values (images · channels · height · width) that do, so that
            large images take smaller chunks.
        curvature_values: Most input values of all images that the Hessian is the mean over;
            of a larger batch a seeded draw is used.
        renormed: Whether the network will be quantized by a recipe that makes up for what rounding
            does to a channel's scale and shift, as by batch norms re-estimated or corrected;
            `recipe_divergence` then has batch norms by the images' own statistics.

    Raises:
        StatisticsError: A number is out of its range.
    """

    activation_images: int = 16
    hessian_probes: int = 16
    power_iterations: int = 20
    power_tolerance: float = 1e-2
    seed: int = 0
    chunk_images: int = 128
    chunk_values: int = 2**19
    curvature_values: int = 2**21
    renormed: bool = True

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name in {"seed", "power_tolerance", "renormed"} else 1
            if value < least:
                raise StatisticsError(f"{name} must be at least {least}, got {value}")

    def chunk(self, image_values: int) -> int:
        """Number of images that go through the network at once.

        Args:
            image_values: Values of one image, channels · height · width.
        """
        return max(1, min(self.chunk_images, self.chunk_values // image_values))

    def curvature_images(self, image_values: int) -> int:
        """Most images that the Hessian is the mean over.

        Args:
            image_values: Values of one image, channels · height · width.
        """
        return max(1, self.curvature_values // image_values)

    def probes(self, chunk: int, images: int) -> int:
        """Number of probes that each chunk of images is multiplied with.

        A chunk of `chunk_images` takes all of them. Of smaller ones each takes its share, and all
        chunks together at least as many as there are.

        Args:
            chunk: Images at once.
            images: All of them.
        """
        chunks = math.ceil(images / chunk)
        share = math.ceil(self.hessian_probes * min(chunk, self.chunk_images) / self.chunk_images)
        return max(share, math.ceil(self.hessian_probes / chunks))
