"""What is left after rounding to nearest, with batch norms and biases corrected or not.

    python -m benchmarks.corrections --rows corrections.jsonl
    python -m benchmarks.corrections --rows corrections.jsonl --only plain-digits mobilenet_v2

Every network of the comparison of plans has one width everywhere, the widest of its study and the
second least, and is quantized by every method that learns nothing, calibrated on few images and on
many. Finished rows are kept, so that the same call goes on where it was stopped; networks whose
weights or images are not here are left out, with the reason.
"""

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.kept_lines import KeptLines
from benchmarks.plan_studies import STUDIES, Study, present
from gp_emq.command import run_command
from gp_emq.determinism import one_thread
from gp_emq.errors import RunError
from gp_emq.files import code_sha256, decode_document
from gp_emq.networks import load_inputs
from gp_emq.networks.zoo import part_of
from gp_emq.options import OptionParser
from gp_emq.ptq import change, quantize
from gp_emq.quantization import batch_norms
from gp_emq.quantization.recipes import find_recipe

METHODS = ("rtn", "rtn+bn", "rtn+bn-correction", "rtn+bias-correction")
WITHOUT_NORMS = METHODS[0], METHODS[-1]
"""What differs where there are no batch norms."""
IMAGES = (16, 64, 256, 512)
TESTS, FEW_TESTS = 1000, 300
"""Test images, and those where there are only few."""


@dataclass(frozen=True)
class Row:
    """One network at one width, by one method, calibrated on some images.

    Attributes:
        network: Its name.
        bits: The width of all layers.
        method: Name of the recipe.
        images: How many calibrate.
        tests: How many measure.
        code: Hash of the recipe's code.
        norms: Whether the network has batch norms.
        floating: Top-1 of the float network.
        top_1: Of the quantized one.
        change: From one to the other.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    network: str
    bits: int
    method: str
    images: int
    tests: int
    code: str
    norms: bool
    floating: float
    top_1: float
    change: float
    low: float
    high: float

    @property
    def key(self) -> tuple[str, int, str, int, int, str]:
        """All that decided it."""
        return self.network, self.bits, self.method, self.images, self.tests, self.code


class Rows:
    """The rows of a file; what a line says that does not read is measured again.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._lines = KeptLines(path, "the corrected networks")
        self.known: dict[tuple[object, ...], Row] = {}
        for line in self._lines.found:
            with suppress(RunError):
                row = decode_document(line, Row, RunError, "a row")
                self.known[row.key] = row

    def add(self, row: Row) -> None:
        """Keep a row."""
        self._lines.add(json.dumps(asdict(row)))
        self.known[row.key] = row


def widths(study: Study) -> tuple[int, int]:
    """Give the widest width of a study, and the second least."""
    return study.bits[-1], study.bits[1]


def counts(study: Study) -> tuple[int, ...]:
    """Say on how many images a network is calibrated; of some there are only few."""
    return IMAGES if study.calibration >= IMAGES[2] else IMAGES[:2]


def measure(study: Study, tests: int, rows: Rows) -> Iterator[Row]:
    """Measure what is missing of a network; give all of its rows.

    Args:
        study: Which network, and widths.
        tests: Images that measure, at most; none of them calibrates.
        rows: What is kept.

    Raises:
        GpEmqError: Its weights or images are not here.
    """
    if counts(study) != IMAGES:
        tests = min(tests, FEW_TESTS)
    inputs = load_inputs(study.network)
    norms = bool(batch_norms(inputs.network.model))
    for images in counts(study):
        divided = before = None
        for bits, method in itertools.product(widths(study), METHODS if norms else WITHOUT_NORMS):
            code = code_sha256(*find_recipe(method).modules)
            key = study.network, bits, method, images, tests, code
            if key not in rows.known:
                if divided is None or before is None:
                    divided = inputs.divided(images, tests, 0, seen=max(counts(study)))
                    before = divided.test.measured(divided.test.batch).numpy()
                plan = {layer.name: bits for layer in inputs.network.layers}
                made = quantize(divided.calibration, plan, method=method)
                after = divided.test.of(made).measured(divided.test.batch).numpy()
                found = change(before, after, divided.groups)
                assert found.low is not None and found.high is not None  # noqa: S101, PT018
                rows.add(
                    Row(
                        *key,
                        norms=norms,
                        floating=float(np.mean(before)),
                        top_1=float(np.mean(after)),
                        change=found.value,
                        low=found.low,
                        high=found.high,
                    )
                )
            yield rows.known[key]


def report(found: Sequence[Row]) -> Iterator[str]:
    """Write tables: the mean change over networks, and the top-1 of every network."""
    for tested in (False, True):
        for norms in (True, False):
            rows = [
                row
                for row in found
                if (part_of(row.network) == "test", row.norms) == (tested, norms)
            ]
            if rows:
                yield from _means(rows, "test networks" if tested else "other networks")
                yield ""
    yield f"Top-1 in %, calibrated on {' / '.join(map(str, IMAGES))} images."
    yield ""
    yield from _head("network", "bits", "float", *(f"`{method}`" for method in METHODS))
    for name, bits in dict.fromkeys((row.network, row.bits) for row in found):
        own = [row for row in found if (row.network, row.bits) == (name, bits)]
        cells = [
            " / ".join(f"{100 * row.top_1:.1f}" for row in own if row.method == method)
            for method in METHODS
        ]
        yield _line(name, str(bits), f"{100 * own[0].floating:.1f}", *cells)


def _means(rows: Sequence[Row], what: str) -> Iterator[str]:
    networks = {row.network for row in rows}
    yield (
        f"{len(networks)} {what} with{'' if rows[0].norms else 'out'} batch norm: mean change of "
        "top-1 in %, and the least of any network."
    )
    yield ""
    yield from _head("widths", "method", *(f"{images} images" for images in IMAGES))
    widest = {name: max(row.bits for row in rows if row.network == name) for name in networks}
    for which in ("widest", "second least"):
        for method in METHODS:
            cells = []
            for images in IMAGES:
                changes = [
                    100 * row.change
                    for row in rows
                    if (row.method, row.images) == (method, images)
                    and (row.bits == widest[row.network]) == (which == "widest")
                ]
                cells.append(f"{np.mean(changes):+.2f}, {min(changes):+.1f}" if changes else "–")
            yield _line(which, f"`{method}`", *cells)


def _head(*cells: str) -> Iterator[str]:
    yield _line(*cells)
    yield "|" + "---|" * len(cells)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.corrections", description=__doc__)
    names = [study.network for study in STUDIES]
    parser.add_argument("--rows", type=Path, required=True, metavar="FILE", help="finished rows")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NETWORK", help="some networks")
    parser.add_argument(
        "--tests", type=int, default=TESTS, help="test images (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    rows = Rows(options.rows)
    found: list[Row] = []
    chosen = [study for study in STUDIES if options.only is None or study.network in options.only]
    chosen = present(chosen)
    with one_thread(), tqdm(chosen, unit="network", disable=None) as bar:
        for study in bar:
            bar.set_postfix_str(study.network)
            found += measure(study, options.tests, rows)
    for line in report(found):
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
