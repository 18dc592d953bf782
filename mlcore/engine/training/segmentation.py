"""Training of the network that finds the lungs: a small U-Net (Ronneberger et al. 2015).

Importing this module imports Keras.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops
from PIL import Image, ImageDraw

from mlcore.engine.data import masks as mask_files
from mlcore.engine.serving.pipeline import whole
from mlcore.engine.serving.preprocess import as_input, local_contrast
from mlcore.engine.training import augment
from mlcore.engine.training.augment import Augmentation
from mlcore.engine.training.calibration import sigmoid

Films = npt.NDArray[np.uint8]

SIZE = 112
# Channels and residual steps from half the resolution to a sixteenth of it.
WIDTHS, STEPS = (16, 32, 64, 96), (0, 1, 2, 2)
BATCH = 32
LEARNING_RATE, WEIGHT_DECAY, AVERAGE = 2e-3, 0.01, 0.995
# Rotated, cropped and stretched more than films are, so that bad ones are found too.
AUGMENTATION = Augmentation(
    rotate=14, shift=0.1, zoom=0.25, gamma=0.6, contrast=0.35, noise=0.03, frame=0, erase=0
)
INVERTED, CLUTTERED = 0.04, 0.3  # shares of films
# What the callback gets: the epoch from 1, and the loss.
OnEpoch = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class MaskedFilms:
    """Films with masks of their lungs.

    Attributes:
        films: (n, SIDE, SIDE) uint8, squashed.
        masks: (n, SIDE, SIDE) uint8; see `data.masks`.
    """

    films: Films
    masks: Films

    def only(self, chosen: npt.NDArray[np.bool_]) -> "MaskedFilms":
        """Return the films that `chosen` (n,) marks."""
        return MaskedFilms(self.films[chosen], self.masks[chosen])


def finder(*, size: int = SIZE) -> keras.Model:
    """Return an untrained network: (b, size, size, 1) -> (b, size / 2, size / 2, 1) log-odds.

    Half the resolution is enough: the outline of a lung lies between the cells, at the log-odds 0.
    """
    film = keras.Input((size, size, 1), name="film")
    x = _step(film, WIDTHS[0], "stem", stride=2)
    skips = [x]
    for level, width in enumerate(WIDTHS[1:], start=1):
        x = _step(x, width, f"down{level}", stride=2)
        for step in range(1, STEPS[level] + 1):
            more = _step(x, width, f"down{level}_more{step}")
            x = layers.Add(name=f"down{level}_add{step}")([x, more])
        skips.append(x)
    for level in range(len(WIDTHS) - 2, -1, -1):
        width = WIDTHS[level]
        x = _step(x, width, f"up{level}_reduce", kernel=1)
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"up{level}_join")([x, skips[level]])
        x = _step(x, width, f"up{level}_mix")
    return keras.Model(film, layers.Conv2D(1, 1, name="lungs")(x), name="finder")


def _step(x: Any, width: int, name: str, *, kernel: int = 3, stride: int = 1) -> Any:
    x = layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(momentum=0.95, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


class MaskBatches(keras.utils.PyDataset):
    """Shuffled and augmented films with their masks, in full batches.

    Like `AugmentedBatches`, a batch depends on the seed, the epoch and its index alone.
    """

    def __init__(self, data: MaskedFilms, *, size: int, seed: int) -> None:
        super().__init__()
        self.data, self.size, self.seed = data, size, seed
        self.epoch = 0
        self._threads = ThreadPoolExecutor(2)

    def __len__(self) -> int:
        return max(1, len(self.data.films) // BATCH)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        epoch = self.epoch
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.data.films))
        chosen = order[index * BATCH : (index + 1) * BATCH]
        pairs = list(self._threads.map(lambda i: self._pair(epoch, int(i)), chosen))
        films, masks = (np.stack(part) for part in zip(*pairs, strict=True))
        return as_input(films), masks[..., np.newaxis]

    def _pair(self, epoch: int, place: int) -> tuple[Films, npt.NDArray[np.float32]]:
        """Return a film (size, size), and the share of lung in each cell, -1 where unknown."""
        rng = np.random.default_rng([self.seed, epoch, place])
        side, size = self.data.films.shape[1], self.size
        scale = (side / size, 0.0, 0.0, 0.0, side / size, 0.0)
        place_of = augment.compose(scale, augment.warp(size, rng, AUGMENTATION))
        mask = self.data.masks[place]
        film, lung, known = (
            np.asarray(
                Image.fromarray(image).transform(
                    (size, size), Image.Transform.AFFINE, place_of, Image.Resampling.BILINEAR
                )
            )
            for image in (
                self.data.films[place],
                np.uint8(255) * mask_files.lung(mask),
                np.uint8(255) * mask_files.known(mask),
            )
        )
        film = augment.disturbed(film, rng, AUGMENTATION)
        if rng.random() < INVERTED:
            film = 255 - film
        if rng.random() < CLUTTERED:
            film = _cluttered(film, rng)
        # What lies outside the film is unknown too.
        cells = (size // 2, 2, size // 2, 2)
        share = lung.reshape(cells).mean(axis=(1, 3), dtype=np.float32) / 255
        is_known = known.reshape(cells).min(axis=(1, 3)) == 255
        return local_contrast(film), np.where(is_known, share, np.float32(-1))


def _cluttered(film: Films, rng: np.random.Generator) -> Films:
    """Draw a tube, a plate or an electrode, or several of them."""
    image = Image.fromarray(film)
    draw, size = ImageDraw.Draw(image), film.shape[0]
    for _ in range(rng.integers(1, 4)):
        shade, (x, y) = int(rng.integers(150, 256)), rng.uniform(0, size, 2)
        kind = rng.integers(3)
        if kind == 0:
            course = [tuple(rng.uniform(0, size, 2)) for _ in range(rng.integers(2, 5))]
            draw.line(course, fill=shade, width=int(rng.integers(1, 3)))
        elif kind == 1:
            wide, high = rng.uniform(2, 0.15 * size, 2)
            draw.rectangle((x, y, x + wide, y + high), fill=shade)
        else:
            radius = rng.uniform(1, 0.05 * size)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)
    return np.asarray(image)


def _loss(truth: Any, logits: Any) -> Any:
    """Return cross-entropy plus half the Dice loss, over the pixels whose mask is known."""
    sure = ops.cast(truth >= 0, "float32")
    entropy = ops.maximum(logits, 0) - logits * truth + ops.log1p(ops.exp(-ops.abs(logits)))
    lung, target = ops.sigmoid(logits) * sure, truth * sure
    axes = (1, 2, 3)
    overlap = 2 * ops.sum(lung * target, axes) + 1
    both = ops.sum(ops.square(lung) + ops.square(target), axes) + 1
    return ops.mean(entropy * sure, axes) + 0.5 * (1 - overlap / both)


class _Epochs(keras.callbacks.Callback):
    def __init__(self, batches: MaskBatches, on_epoch: OnEpoch) -> None:
        super().__init__()
        self.batches, self.on_epoch = batches, on_epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.on_epoch(epoch + 1, float(logs["loss"]))


def train(
    data: MaskedFilms, *, epochs: int, seed: int, on_epoch: OnEpoch, size: int = SIZE
) -> keras.Model:
    """Train a network that finds lungs.

    Args:
        data: films with masks; unknown parts of a mask do not contribute to the loss.
        epochs: passes over the films.
        seed: seed of weights, order and augmentation.
        on_epoch: called after each epoch.
        size: side of the network's input in pixels.

    Returns:
        The network with its averaged weights.
    """
    keras.utils.set_random_seed(seed)
    network = finder(size=size)
    batches = MaskBatches(data, size=size, seed=seed)
    steps = len(batches) * epochs
    warm_up = max(1, len(batches) // 5)
    network.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                LEARNING_RATE / 20, max(1, steps - warm_up), alpha=0.01,
                warmup_target=LEARNING_RATE, warmup_steps=warm_up,
            ),
            weight_decay=WEIGHT_DECAY,
            global_clipnorm=5.0,
            use_ema=True,
            ema_momentum=max(0.0, min(AVERAGE, 1 - 5 / steps)),
        ),
        loss=_loss,
    )  # fmt: skip
    callbacks = [keras.callbacks.SwapEMAWeights(), _Epochs(batches, on_epoch)]
    network.fit(batches, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)
    return network


def probabilities(network: keras.Model, films: Films, *, batch: int = 64) -> npt.NDArray[Any]:
    """Return (n, size / 2, size / 2) probabilities of lung for (n, side, side) squashed films."""
    size = network.input.shape[1]
    parts = []
    for start in range(0, len(films), batch):
        ready = as_input(np.stack([whole(film, size) for film in films[start : start + batch]]))
        logits = np.asarray(network.predict_on_batch(ready), np.float64)[..., 0]
        parts.append(sigmoid(logits))
    return np.concatenate(parts).astype(np.float32)
