"""The options of a training run."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mlcore.engine.serving.preprocess import LUNG_BOX, Preprocessing
from mlcore.engine.training import groups
from mlcore.engine.training.augment import Augmentation


@dataclass(frozen=True)
class Options:
    """What decides a training run: two runs with the same options and films end the same.

    Attributes:
        arch: Name of the architecture.
        image_size: Side of the network's input in pixels.
        epochs: Passes over the training films.
        batch_size: Films in a step, over all devices.
        learning_rate: Highest rate, reached after a tenth of the first epoch.
        weight_decay: Of AdamW.
        label_smoothing: How far the targets are moved from 0 and 1 towards one half.
        average: Momentum of the exponential moving average of the weights, which is the result.
            A short run uses a smaller one; see `average_momentum`.
        balance: Whether both classes weigh the same in the loss.
        groups: Number of groups of similar equipment and framing within which both classes are
            drawn equally often; 0 draws every film once per epoch.
        finder_epochs: Passes over the films of the network that finds the lungs.
        patience: Epochs without a lower validation loss after which training stops and the best
            epoch's weights are kept. 0 trains to the end and keeps the last ones.
        mixed_precision: Whether layers compute in bfloat16, on hardware that is faster so.
        seed: Of initial weights, order, augmentation and dropout.
    """

    arch: str = "resnet_small"
    image_size: int = 128
    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    average: float = 0.995
    balance: bool = True
    groups: int = 0
    finder_epochs: int = 8
    patience: int = 0
    mixed_precision: bool = False
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    @classmethod
    def for_lungs(cls, **chosen: Any) -> "Options":
        """Return the options of a model that reads the lungs only, unless chosen otherwise.

        The box around the lungs has no frame and hardly any markers, and normalises the position.
        """
        defaults: dict[str, Any] = {
            "groups": groups.GROUPS,
            "preprocessing": Preprocessing(id=LUNG_BOX, window=0.35, grow=0.05),
            "augmentation": Augmentation(
                rotate=6,
                shift=0.03,
                zoom=0.15,
                gamma=0.3,
                contrast=0.15,
                noise=0.01,
                blur=0.15,
                frame=0,
                marker=0,
                erase=0.1,
                corrupted=0.25,
                drawn=0.15,
                mask_grow=0.0134,
                box_margin=0.02,
            ),
        }
        return cls(**defaults | chosen)

    def to_card(self) -> dict[str, Any]:
        """Return the fields for the card."""
        return asdict(self)
