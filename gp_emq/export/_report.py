"""What is stored of a quantized network: layer by layer, and against the accounting."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gp_emq.columns import format_columns
from gp_emq.export._grids import StoredGrid
from gp_emq.networks import PER_TENSOR, Granularity, Layer, float_sizes, size_table


@dataclass(frozen=True)
class StoredWeight:
    """How a weight is stored.

    Attributes:
        stored_as: Type of the stored numbers, such as `"3-bit packed"` or `"int4"`.
        weight_bytes: Of these.
        grid_bytes: Of its scales and zero points.
    """

    stored_as: str
    weight_bytes: int
    grid_bytes: int


@dataclass(frozen=True)
class StoredLayer:
    """One layer as a file holds it.

    Attributes:
        name: Of the layer.
        bits: Its width, `None` where it stays in float.
        stored_as: Type of the stored numbers, such as `"3-bit packed"` or `"int4"`.
        weight_bytes: Of its weight.
        grid_bytes: Of its scales and zero points.
        bias_bytes: Of its bias.
        accounted_bytes: What the `stored` accounting counts for it, batch norm included.
    """

    name: str
    bits: int | None
    stored_as: str
    weight_bytes: int
    grid_bytes: int
    bias_bytes: int
    accounted_bytes: int


@dataclass(frozen=True)
class ExportReport:
    """What a written file holds.

    Attributes:
        layers: In forward order.
        norm_bytes: Of all batch norms: four numbers per channel.
        other: Bytes of each tensor that belongs to no layer and no batch norm, by name.
        file_bytes: Of the whole file.
        framing: What the file has beside numbers: `"header"` or `"graph"`.
        draws: Operators of a graph that draw random numbers, which no two runs share.
    """

    layers: tuple[StoredLayer, ...]
    norm_bytes: int
    other: Mapping[str, int]
    file_bytes: int
    framing: str
    draws: tuple[str, ...] = ()

    @property
    def payload_bytes(self) -> int:
        """Bytes of all stored numbers: the file without its header or graph."""
        of_layers = sum(
            layer.weight_bytes + layer.grid_bytes + layer.bias_bytes for layer in self.layers
        )
        return of_layers + self.norm_bytes + sum(self.other.values())

    @property
    def accounted_bytes(self) -> int:
        """What the `stored` accounting counts for all layers."""
        return sum(layer.accounted_bytes for layer in self.layers)

    @property
    def beyond_accounting_bytes(self) -> int:
        """What is stored beyond the accounting.

        In a packed file that is all tensors of no layer and the batch norms that follow none.
        """
        return self.payload_bytes - self.accounted_bytes


def report_of(
    layers: Sequence[Layer],
    grids: Mapping[str, StoredGrid],
    weights: Mapping[str, StoredWeight],
    *,
    sizes: Mapping[str, int],
    norms: Collection[str],
    file_bytes: int,
    framing: str,
    draws: tuple[str, ...] = (),
) -> ExportReport:
    """Put together what a file holds.

    Args:
        layers: The layers of the network.
        grids: Of the quantized weights, by name of the layer.
        weights: How these are stored, by name of the layer.
        sizes: Bytes of all that is stored beside the quantized weights, by name of the tensor.
        norms: Which of these belong to batch norms.
        file_bytes: Of the whole file.
        framing: What the file has beside numbers.
        draws: Operators of a graph that draw random numbers.
    """
    left = dict(sizes)
    stored = []
    for layer in layers:
        grid = grids.get(layer.name)
        bits = None if grid is None else grid.bits
        in_float = StoredWeight("float32", left.pop(f"{layer.name}.weight", 0), 0)
        weight = weights.get(layer.name, in_float)
        stored.append(
            StoredLayer(
                name=layer.name,
                bits=bits,
                stored_as=weight.stored_as,
                weight_bytes=weight.weight_bytes,
                grid_bytes=weight.grid_bytes,
                bias_bytes=left.pop(f"{layer.name}.bias", 0),
                accounted_bytes=accounted_bytes(
                    layer,
                    bits,
                    granularity=PER_TENSOR if grid is None else grid.granularity,
                    symmetric=grid is None or grid.symmetric,
                ),
            )
        )
    return ExportReport(
        layers=tuple(stored),
        norm_bytes=sum(size for name, size in left.items() if name in norms),
        other={name: size for name, size in left.items() if name not in norms},
        file_bytes=file_bytes,
        framing=framing,
        draws=draws,
    )


def accounted_bytes(
    layer: Layer, bits: int | None, *, granularity: Granularity, symmetric: bool
) -> int:
    """Return what the `stored` accounting counts for one layer.

    Args:
        layer: The layer.
        bits: Its width, `None` where it stays in float.
        granularity: Of its scales.
        symmetric: No zero points.
    """
    if bits is None:
        return int(float_sizes([layer], "stored").sum())
    table = size_table([layer], (bits,), "stored", granularity=granularity, symmetric=symmetric)
    return int(table.sum())


def format_report(report: ExportReport) -> str:
    """Write a report as text: a table of layers, and what the file takes beside them.

    Args:
        report: What a written file holds.
    """
    head = ["layer", "bits", "stored as", "weight", "scales", "bias"]
    body = [
        [
            layer.name,
            "float" if layer.bits is None else str(layer.bits),
            layer.stored_as,
            *_numbers([layer.weight_bytes, layer.grid_bytes, layer.bias_bytes]),
        ]
        for layer in report.layers
    ]
    sums = [
        sum(layer.weight_bytes for layer in report.layers),
        sum(layer.grid_bytes for layer in report.layers),
        sum(layer.bias_bytes for layer in report.layers),
    ]
    totals = [["all, bytes", "", "", *_numbers(sums)]]
    rows = [
        ("layers", sum(sums)),
        ("batch norm", report.norm_bytes),
        ("other numbers", sum(report.other.values())),
        ("numbers stored", report.payload_bytes),
        ("stored accounting", report.accounted_bytes),
        ("beyond it", report.beyond_accounting_bytes),
        (report.framing, report.file_bytes - report.payload_bytes),
        ("file", report.file_bytes),
    ]
    summary = [[name, f"{size:,}"] for name, size in rows]
    lines = [*format_columns(head, body, totals), "", *format_columns(["", "bytes"], summary)]
    if report.draws:
        note = (
            f"note: the network draws random numbers ({', '.join(report.draws)}), which a runtime "
        )
        lines += ["", f"{note}draws anew in each run: outputs that depend on them are not torch's"]
    return "\n".join(lines) + "\n"


def _numbers(sizes: Sequence[int]) -> list[str]:
    return [f"{size:,}" for size in sizes]
