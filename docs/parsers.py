"""The parsers of the commands, under names that the page of commands can ask for."""

import argparse
from collections.abc import Callable

from every_command import parser_of

MODULES = {
    "run": "gp_emq.run",
    "ablate": "gp_emq.ablate",
    "rank": "gp_emq.rank",
    "bench": "gp_emq.bench",
    "allocate": "gp_emq.allocate",
    "profile": "gp_emq.profile",
    "quantize": "gp_emq.quantize",
    "qat": "gp_emq.qat.__main__",
    "watch": "gp_emq.watch",
    "report": "analysis.report",
    "convergence": "analysis.convergence",
    "correlation": "analysis.correlation",
    "genealogy": "analysis.genealogy",
    "train_digits": "gp_emq.networks.train_digits",
    "train_zoo": "gp_emq.networks.train_zoo",
}
"""Commands, by the names of the functions that give their parsers."""


def __getattr__(name: str) -> Callable[[], argparse.ArgumentParser]:
    if name not in MODULES:
        raise AttributeError(f"there is no command {name!r}")
    return lambda: parser_of(MODULES[name])
