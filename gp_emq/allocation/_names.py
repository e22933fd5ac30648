"""What allocation may be asked for."""

CALIBRATION_IMAGES = 256

AXES = {"size": "MiB", "average-bits": "", "bops": "G"}
"""What a sweep may run over, with its unit."""

BASELINES = ("uniform", "random", "hawq_v2", "fit", "ompq")
"""What a plan is compared with unless the user chooses otherwise."""

WITHOUT_SCORES = ("uniform", "random")
"""Those of them that are no proxies."""

BITS = (2, 3, 4)
"""What may be chosen unless the user chooses otherwise."""

METHOD = "method"
"""In a plan's provenance, the recipe that the plan was made for; absent where none was named."""
