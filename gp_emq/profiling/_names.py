"""What may be asked for when layers are timed."""

from gp_emq.quantization import MAX_BITS, MIN_BITS

ALL_BITS = tuple(range(MIN_BITS, MAX_BITS + 1))
"""Widths of weights, beside float."""

IMAGES = 64
"""Images that choose the grids of inputs."""

ROUNDS = 30
"""How often each layer is timed."""
