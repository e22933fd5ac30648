"""Settings that ship with the package, as files that ``--recipe`` reads."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gp_emq.errors import TrainingError
from gp_emq.files import read_toml
from gp_emq.qat._settings import QatSettings

_FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Options of the command for one network.

    Attributes:
        name: Under which it is found.
        description: One line.
    """

    name: str
    description: str

    @property
    def path(self) -> Path:
        """The TOML file."""
        return _FOLDER / f"{self.name}.toml"


RECIPES = (
    Recipe("digits", "the digits network on its 797 training images, a few seconds"),
    Recipe("cifar10-resnet20", "ResNet-20 on CIFAR-10, distilled from the float network"),
    Recipe("imagenet-resnet18", "ResNet-18 on ImageNet, 90 epochs as in LSQ"),
    Recipe("imagenet-resnet50", "ResNet-50 on ImageNet, 90 epochs as in LSQ, distilled"),
    Recipe("imagenet-mobilenet_v2", "MobileNetV2 on ImageNet, 90 epochs, distilled"),
)


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        TrainingError: It is unknown.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    known = ", ".join(recipe.name for recipe in RECIPES)
    raise TrainingError(f"unknown recipe {name!r}: known are {known}; --config reads a file")


def recipe_values(name: str) -> dict[str, Any]:
    """Return what a recipe says of the fields of `QatSettings`.

    Raises:
        TrainingError: It is unknown.
    """
    known = {field.name for field in fields(QatSettings)}
    content = read_toml(find_recipe(name).path, TrainingError, "the recipe")
    named = {key.replace("-", "_"): value for key, value in content.items()}
    return {key: value for key, value in named.items() if key in known}
