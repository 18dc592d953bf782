"""Network architectures by name. Importing this module imports Keras.

Every network maps a film tensor (batch, size, size, 1), float32 in [0, 1], to a dict:

- ``logit`` (batch, 1): the log-odds of PNEUMONIA before calibration;
- ``evidence`` (batch, h, w, 1): local log-odds, whose plain mean over the cells *is* ``logit``,
  so this class-activation map explains the prediction exactly and equals Grad-CAM up to scale;
- ``descriptor`` (batch, d): pooled features of several depths, used by the scope gate.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
from keras import Model as Network
from keras import layers, ops

_REGISTRY: dict[str, Callable[..., Network]] = {}


def register(name: str) -> Callable[[Callable[..., Network]], Callable[..., Network]]:
    """Register a builder under a unique name."""

    def add(builder: Callable[..., Network]) -> Callable[..., Network]:
        if name in _REGISTRY:
            raise ValueError(f"An architecture named {name!r} already exists.")
        _REGISTRY[name] = builder
        return builder

    return add


def names() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_REGISTRY)


def build(name: str, *, size: int, **options: object) -> Network:
    """Return an untrained network.

    Args:
        name: one of `names()`.
        size: side of the square input in pixels; a multiple of 16, at least 32.
        **options: passed to the builder.

    Raises:
        ValueError: unknown name, or a size the network cannot take.
    """
    if name not in _REGISTRY:
        raise ValueError(
            f"Unknown architecture. Received: {name!r}. Available: {', '.join(names())}."
        )
    if size < 32 or size % 16:
        raise ValueError(f"Image size must be a multiple of 16, at least 32. Received: {size}.")
    return _REGISTRY[name](size=size, **options)


@keras.saving.register_keras_serializable("xraysite")
class MomentPool(layers.Layer):
    """Mean and standard deviation of every channel over the cells: (b, h, w, c) -> (b, 2c)."""

    def call(self, inputs):
        mean = ops.mean(inputs, axis=(1, 2))
        mean_square = ops.mean(ops.square(inputs), axis=(1, 2))
        # The floor keeps the square root's gradient finite for a dead channel.
        deviation = ops.sqrt(ops.maximum(mean_square - ops.square(mean), 1e-6))
        return ops.concatenate([mean, deviation], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[-1])


def _convolution(filters: int, kernel: int, stride: int, name: str) -> Callable:
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _norm(name: str, gamma: str = "ones") -> Callable:
    return layers.BatchNormalization(
        momentum=0.95, epsilon=1e-3, gamma_initializer=gamma, name=name
    )


def _residual_block(x, filters: int, stride: int, name: str):
    """Add a residual block whose second convolution is initialised to zero (He et al. 2019)."""
    shortcut = x
    if stride > 1:
        shortcut = layers.AveragePooling2D(stride, name=f"{name}_pool")(shortcut)
    if x.shape[-1] != filters:
        shortcut = _convolution(filters, 1, 1, f"{name}_project")(shortcut)
        shortcut = _norm(f"{name}_project_norm")(shortcut)
    y = _convolution(filters, 3, stride, f"{name}_conv1")(x)
    y = layers.ReLU(name=f"{name}_relu1")(_norm(f"{name}_norm1")(y))
    y = _convolution(filters, 3, 1, f"{name}_conv2")(y)
    y = _norm(f"{name}_norm2", gamma="zeros")(y)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, y]))


@register("resnet_small")
def resnet_small(
    *,
    size: int,
    widths: tuple[int, ...] = (32, 64, 128),
    blocks: tuple[int, ...] = (1, 2, 2),
    dropout: float = 0.1,
    seed: int = 0,
) -> Network:
    """Build a residual network with stride 16: 14x14 cells for a 224-pixel film.

    Args:
        size: side of the input in pixels.
        widths: channels of the three stages, at strides 4, 8 and 16.
        blocks: residual blocks of each stage.
        dropout: fraction of the last stage's channels dropped in training, whole channels at a
            time, so that the evidence does not depend on one of them.
        seed: seed of the dropout.
    """
    return _resnet(
        "resnet_small", size, widths, blocks, (2,) * len(widths), dropout=dropout, seed=seed
    )


def _resnet(
    name: str,
    size: int,
    widths: Sequence[int],
    blocks: Sequence[int],
    strides: Sequence[int],
    *,
    dropout: float,
    seed: int,
) -> Network:
    film = keras.Input((size, size, 1), name="film")
    x = _convolution(24, 3, 2, "stem_conv")(film)
    x = layers.ReLU(name="stem_relu")(_norm("stem_norm")(x))
    pooled = [MomentPool(name="stem_moments")(x)]
    stages = zip(widths, blocks, strides, strict=True)
    for stage, (width, count, stride) in enumerate(stages, start=1):
        for block in range(count):
            x = _residual_block(x, width, 1 if block else stride, f"stage{stage}_block{block + 1}")
        pooled.append(MomentPool(name=f"stage{stage}_moments")(x))
    descriptor = layers.Concatenate(name="descriptor")(pooled)
    x = layers.SpatialDropout2D(dropout, seed=seed, name="dropout")(x)
    # In float32 under mixed precision too: bfloat16 gives log-odds three digits.
    evidence = layers.Conv2D(1, 1, dtype="float32", name="evidence")(x)
    logit = layers.GlobalAveragePooling2D(dtype="float32", name="logit")(evidence)
    outputs = {"logit": logit, "evidence": evidence, "descriptor": descriptor}
    return keras.Model(film, outputs, name=name)


@register("resnet_fine")
def resnet_fine(*, size: int, dropout: float = 0.1, seed: int = 0) -> Network:
    """Build a residual network with stride 8: 14x14 cells for a 112-pixel box of the lungs.

    Args:
        size: side of the input in pixels.
        dropout: see `resnet_small`.
        seed: seed of the dropout.
    """
    return _resnet(
        "resnet_fine", size, (32, 64, 96), (1, 2, 2), (2, 2, 1), dropout=dropout, seed=seed
    )


@register("seed_cnn")
def seed_cnn(*, size: int, filters: int = 32, units: int = 128, seed: int = 0) -> Network:
    """Build the CNN of common tutorials: two convolutions with pooling, flatten, dense.

    The baseline of the model study. It discards positions, so its evidence map is flat: the
    film's log-odds in every cell.

    Args:
        size: side of the input in pixels; the tutorials use 64.
        filters: number of filters of each 3x3 convolution.
        units: number of units of the dense layer.
        seed: accepted for a common interface; unused, because the network has no dropout.
    """
    del seed
    film = keras.Input((size, size, 1), name="film")
    x = film
    for number in (1, 2):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    descriptor = layers.Dense(units, activation="relu", name="descriptor")(
        layers.Flatten(name="flatten")(x)
    )
    # A softmax over two labels is the sigmoid of their scores' difference, which is one score.
    logit = layers.Dense(1, dtype="float32", name="logit")(descriptor)
    cells = layers.Reshape((1, 1, 1), name="cell")(logit)
    evidence = layers.UpSampling2D(size // 16, name="evidence")(cells)
    outputs = {"logit": logit, "evidence": evidence, "descriptor": descriptor}
    return keras.Model(film, outputs, name="seed_cnn")


def averaged(members: Sequence[Network]) -> Network:
    """Combine trained networks into one that averages their log-odds and evidence maps.

    The mean of the averaged map is still the film's log-odds. The descriptor is the first
    member's, because distances are only meaningful within one feature space. A single member is
    returned unchanged.

    Raises:
        ValueError: no members, or they take films of different sizes.
    """
    if not members:
        raise ValueError("At least one network is needed.")
    shapes = {tuple(member.input.shape) for member in members}
    if len(shapes) != 1:
        raise ValueError(f"The networks take films of different shapes: {sorted(shapes)}.")
    if len(members) == 1:
        return members[0]
    film = keras.Input(members[0].input.shape[1:], name="film")
    answers = []
    for number, member in enumerate(members, start=1):
        member.name = f"member{number}"
        answers.append(member(film))
    outputs = {
        "logit": layers.Average(name="logit")([answer["logit"] for answer in answers]),
        "evidence": layers.Average(name="evidence")([answer["evidence"] for answer in answers]),
        "descriptor": answers[0]["descriptor"],
    }
    return keras.Model(film, outputs, name="averaged")


def read(path: Path) -> Network:
    """Load a `.keras` file; importing this module registers its custom layers."""
    return keras.saving.load_model(path)


def members_of(model: Network) -> list[Network]:
    """Return the networks combined by `averaged`, or `[model]`."""
    found = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return found or [model]
