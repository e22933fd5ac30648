"""Pictures, read only if they are of a size that memory holds."""

from pathlib import Path

from PIL import Image

from gp_emq.errors import DataError
from gp_emq.files._messages import one_line

MOST_PIXELS = 2**25
"""A picture of 8192 x 4096."""


def read_image(path: Path) -> Image.Image:
    """Read a picture as RGB.

    Args:
        path: the file.

    Raises:
        DataError: it does not read as a picture, or has too many pixels.
    """
    try:
        with Image.open(path) as opened:
            pixels = opened.width * opened.height
            if pixels <= MOST_PIXELS:
                return opened.convert("RGB")
    # What a damaged picture makes a decoder raise is no part of what the library promises.
    except Exception as error:
        raise DataError(f"{path} does not read as an image: {one_line(error)}") from error
    raise DataError(f"{path} has {pixels:,} pixels: what is read is at most {MOST_PIXELS:,}")
