"""Networks of other tasks, from statistics to a metric: ``python -m benchmarks.real_models``.

For each the metric of plans of three sizes with its 95 % interval, beside layers of one width: bold
where it is surely better than theirs, in italics where it is surely worse. Cells are kept as they
are measured, and a killed call goes on from them. A model whose package is missing is left out,
with the reason, where it is not asked for by its name.
"""

import sys
from collections.abc import Sequence

from benchmarks.real_models import faces, language, pitch, scenes, voice
from benchmarks.real_models.rows import Rows
from benchmarks.real_models.study import CELLS, measure
from benchmarks.real_models.table import table
from gp_emq.command import run_command
from gp_emq.errors import NetworkError
from gp_emq.options import OptionParser, one_of
from gp_emq.outputs import OutputFile

FAMILIES = (pitch, voice, faces, scenes, language)
MODELS = {model.name: model for family in FAMILIES for model in family.MODELS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.real_models", description=__doc__)
    parser.add_argument(
        "names", nargs="*", type=one_of(MODELS), metavar="NAME",
        help=f"of {', '.join(MODELS)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=OutputFile(), metavar="FILE.jsonl",
        help="where finished cells are kept; what it has is not measured again",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    rows = Rows(options.out)
    for name in options.names or MODELS:
        model = MODELS[name]
        try:
            measure(model, rows)
        except NetworkError as error:
            if options.names:
                raise
            sys.stdout.write(f"**{name}**: {model.what}. Not measured: {error}\n\n")
            continue
        sys.stdout.writelines(f"{line}\n" for line in table(model, rows.of(name, CELLS)))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    run_command(main)
