"""Formulas of a run as mathematics, and short enough for a label."""

from analysis._run_data import meta_or
from gp_emq.errors import GpEmqError
from gp_emq.proxies import language, parse_expression, to_formula
from gp_emq.store import RunStore
from primitives import load_primitive_set, primitive_set_names


class Formulas:
    """Writes the expressions of one run as readable mathematics.

    Where the run's primitive set is not a registered one, the built-in operators are tried, and
    where these do not do an expression stays as it is: no store names code that runs.

    Args:
        store: of the run.

    Attributes:
        primitive_set: that its expressions are read by.
    """

    def __init__(self, store: RunStore) -> None:
        configuration = meta_or(store, "config", {})
        name = configuration.get("primitives") if isinstance(configuration, dict) else None
        known = name in primitive_set_names()
        self.primitive_set = load_primitive_set(str(name)) if known else language()

    def __call__(self, expression: str) -> str:
        """Write an expression as mathematics."""
        try:
            return to_formula(parse_expression(expression, self.primitive_set), self.primitive_set)
        except GpEmqError:
            return expression


def shortened(text: str, length: int) -> str:
    """Leave out the middle of a text that is longer than so many characters."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
