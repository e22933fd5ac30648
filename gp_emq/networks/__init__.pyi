from ._accounting import (
    ACCOUNTINGS,
    MEBIBYTE,
    bit_operations_table,
    float_sizes,
    size_table,
    total_cost,
)
from ._arrays import read_arrays
from ._augmentation import AUGMENTATIONS, Augmentation
from ._cifar_resnet import CifarResNet
from ._containers import Images, Labels, image_batch
from ._finite import check_finite
from ._images import (
    DATA_SETS,
    RESIZED,
    ImageSet,
    batch_size,
    data_set_of,
    load_calibration,
    load_images,
    load_test,
)
from ._layers import (
    Layer,
    entry_layers,
    find_layers,
    layers_of,
    weight_layers,
)
from ._private import private_copy, unwrapped
from ._registry import (
    DATA_VARIABLE,
    Network,
    NetworkSpecification,
    load_network,
    network_specifications,
    registered_layers,
    untrained_network,
)
from ._running import PrivateNetwork, undisturbed
from ._torchvision import import_torchvision
from ._watching import Call, input_of, is_linear_map, watching, with_input
from ._weights import file_sha256, load_weights, read_state_dict, take_state_dict

__all__ = [
    "ACCOUNTINGS",
    "AUGMENTATIONS",
    "DATA_SETS",
    "DATA_VARIABLE",
    "MEBIBYTE",
    "RESIZED",
    "Augmentation",
    "Call",
    "CifarResNet",
    "ImageSet",
    "Images",
    "Labels",
    "Layer",
    "Network",
    "NetworkSpecification",
    "PrivateNetwork",
    "batch_size",
    "bit_operations_table",
    "check_finite",
    "data_set_of",
    "entry_layers",
    "file_sha256",
    "find_layers",
    "float_sizes",
    "image_batch",
    "import_torchvision",
    "input_of",
    "is_linear_map",
    "layers_of",
    "load_calibration",
    "load_images",
    "load_network",
    "load_test",
    "load_weights",
    "network_specifications",
    "private_copy",
    "read_arrays",
    "read_state_dict",
    "registered_layers",
    "size_table",
    "take_state_dict",
    "total_cost",
    "undisturbed",
    "untrained_network",
    "unwrapped",
    "watching",
    "weight_layers",
    "with_input",
]
