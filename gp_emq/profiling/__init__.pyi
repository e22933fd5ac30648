from ._names import ALL_BITS, IMAGES, ROUNDS
from ._profile import ProfileSettings, profile, require_onnxruntime
from ._text import format_latencies

__all__ = [
    "ALL_BITS",
    "IMAGES",
    "ROUNDS",
    "ProfileSettings",
    "format_latencies",
    "profile",
    "require_onnxruntime",
]
