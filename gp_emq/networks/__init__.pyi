from . import zoo
from ._accounting import (
    MEBIBYTE,
    bit_operations_table,
    float_sizes,
    size_table,
    total_cost,
)
from ._activations import activation_elements
from ._aliases import places_beside
from ._arrays import drawn, fitting_arrays
from ._augmentation import Augmentation
from ._behaviour import sha256_of_behaviour
from ._beside import multiplied_beside
from ._containers import Images, Labels
from ._finite import check_finite
from ._granularity import LEAST_GROUP, PER_CHANNEL, PER_TENSOR, Granularity
from ._images import RESIZED, ImageSet, batch_size, load_images
from ._inputs import OWN_ARRAYS, OWN_WORKLOAD, Division, Inputs, load_inputs
from ._judging import TOP_1
from ._kept import NOT_CALLED, NOT_GIVEN, reasons_kept
from ._layer import Layer, entry_layers, weight_layers, with_shared_embeddings
from ._layers import find_layers, layers_of
from ._loading import load_workload
from ._logits import check_classes, check_range, check_spread, logits_of
from ._metric import Metric
from ._names import ACCOUNTINGS
from ._output_types import Types, output_types
from ._own_form import in_own_form, in_private_form
from ._private import private_copy, unwrapped
from ._projections import own_names
from ._registry import (
    DATA_VARIABLE,
    Network,
    load_network,
    network_specifications,
    registered_layers,
    untrained_network,
)
from ._running import Forward, PrivateNetwork, feed, undisturbed
from ._samples import (
    Samples,
    count,
    in_double,
    noised,
    on_cpu,
    ones_like_one,
    split,
    take,
    tensors_of,
    values_per_sample,
)
from ._sparse import numbers_of
from ._torchvision import import_torchvision
from ._tracing import QUANTIZABLE
from ._trees import leaves_of, mapped, with_leaves
from ._watching import (
    Call,
    gives_rows,
    input_of,
    is_linear_map,
    showing,
    watching,
    with_input,
    zero_bias,
)
from ._weights import file_sha256, take_state_dict
from ._workload import Workload, workload_of

__all__ = [
    "ACCOUNTINGS",
    "DATA_VARIABLE",
    "LEAST_GROUP",
    "MEBIBYTE",
    "NOT_CALLED",
    "NOT_GIVEN",
    "OWN_ARRAYS",
    "OWN_WORKLOAD",
    "PER_CHANNEL",
    "PER_TENSOR",
    "QUANTIZABLE",
    "RESIZED",
    "TOP_1",
    "Augmentation",
    "Call",
    "Division",
    "Forward",
    "Granularity",
    "ImageSet",
    "Images",
    "Inputs",
    "Labels",
    "Layer",
    "Metric",
    "Network",
    "PrivateNetwork",
    "Samples",
    "Types",
    "Workload",
    "activation_elements",
    "batch_size",
    "bit_operations_table",
    "check_classes",
    "check_finite",
    "check_range",
    "check_spread",
    "count",
    "drawn",
    "entry_layers",
    "feed",
    "file_sha256",
    "find_layers",
    "fitting_arrays",
    "float_sizes",
    "gives_rows",
    "import_torchvision",
    "in_double",
    "in_own_form",
    "in_private_form",
    "input_of",
    "is_linear_map",
    "layers_of",
    "leaves_of",
    "load_images",
    "load_inputs",
    "load_network",
    "load_workload",
    "logits_of",
    "mapped",
    "multiplied_beside",
    "network_specifications",
    "noised",
    "numbers_of",
    "on_cpu",
    "ones_like_one",
    "output_types",
    "own_names",
    "places_beside",
    "private_copy",
    "reasons_kept",
    "registered_layers",
    "sha256_of_behaviour",
    "showing",
    "size_table",
    "split",
    "take",
    "take_state_dict",
    "tensors_of",
    "total_cost",
    "undisturbed",
    "untrained_network",
    "unwrapped",
    "values_per_sample",
    "watching",
    "weight_layers",
    "with_input",
    "with_leaves",
    "with_shared_embeddings",
    "workload_of",
    "zero_bias",
    "zoo",
]
