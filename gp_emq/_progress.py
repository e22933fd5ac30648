"""Bars that say on a terminal how far a command is."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(what: str, unit: str) -> "tqdm[Any]":
    """Make a bar on standard error, which shows nothing where that is no terminal.

    Args:
        what: What is done.
        unit: What is counted.
    """
    return tqdm(
        file=sys.stderr,
        desc=what,
        unit=unit,
        leave=False,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    )


def waiting_for(what: str) -> "tqdm[Any]":
    """Make a line on standard error that says what takes a while, of which nothing can be counted.

    Args:
        what: What is done.
    """
    return tqdm(
        file=sys.stderr,
        desc=what,
        bar_format="{desc}",
        leave=False,
        disable=not sys.stderr.isatty(),
    )


def show(bar: "tqdm[Any]", done: int, total: int | None, beside: str = "") -> None:
    """Say on a bar how many of how many are done, and what is beside it.

    Args:
        bar: The bar.
        done: How many are.
        total: Of how many; None where nobody knows.
        beside: Said behind it.
    """
    bar.total = total
    if beside:
        bar.set_postfix_str(beside, refresh=False)
    if done == bar.n:
        bar.refresh()  # what is beside it is new
    else:
        bar.update(done - bar.n)
