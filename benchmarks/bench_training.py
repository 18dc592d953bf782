"""Speed of training, and the fraction of its time that it waits for films.

    python benchmarks/bench_training.py [--data DIR] [--films N] [--image-size N] [--json F]

Compares training (films augmented in each epoch, then a step) with the same network on one ready
batch in memory; the difference is the cost of the input pipeline. Films are synthetic unless
`--data` names a folder with class folders.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import machine, say_machine, table


class Steps:
    """Records when each step of each epoch ends; implements `training.Progress`."""

    def __init__(self) -> None:
        self.ends: dict[int, list[float]] = {}

    def step(self, epoch: int, *_: Any) -> None:
        self.ends.setdefault(epoch, []).append(time.perf_counter())

    def member(self, *_: Any) -> None: ...

    def resumed(self, *_: Any) -> None: ...

    def epoch(self, *_: Any) -> None: ...


def drawn(count: int, options: Any) -> Any:
    """Return a `TrainingSet` of synthetic films, preprocessed as for training."""
    import numpy as np

    from mlcore.engine.serving.preprocess import prepare_bytes
    from mlcore.engine.training.training import TrainingSet
    from tests.films import synthetic_film

    # Drawing is slow and the content does not affect the speed, so a few films are reused.
    different = [
        prepare_bytes(
            synthetic_film(("NORMAL", "PNEUMONIA")[seed % 2], seed=seed, size=224),
            size=options.image_size,
            spec=options.preprocessing,
        )
        for seed in range(min(count, 16))
    ]
    films = np.stack([different[index % len(different)] for index in range(count)])
    return TrainingSet.of_whole(films, np.arange(count) % 2)


def real(root: Path, count: int, options: Any) -> Any:
    """Return a `TrainingSet` of `count` films of a folder, with classes as equal as possible."""
    import numpy as np

    from mlcore.engine.data import dataset
    from mlcore.engine.serving.preprocess import prepare_bytes
    from mlcore.engine.training.squashed import SquashedFilms
    from mlcore.engine.training.training import TrainingSet

    films = SquashedFilms(options.preprocessing)
    manifest = dataset.scan(root, measured=False, on_film=films.add)
    by_label = [[film for film in manifest.films if film.label == label]
                for label in dataset.LABELS]  # fmt: skip
    chosen = [film for films in by_label for film in films[: count // 2]]
    labels = np.array([dataset.LABELS.index(record.label) for record in chosen])
    prepared = [
        prepare_bytes(film, size=options.image_size, spec=options.preprocessing)
        for film in films.of(chosen)
    ]
    return TrainingSet.of_whole(np.stack(prepared), labels)


def whole_training(options: Any, films: Any, validation: Any) -> dict[str, Any]:
    """Train; return the films per second from the second epoch on, and the fraction waited."""
    from mlcore.engine.training import training

    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        _, history = training.train(
            options, films, validation, state_folder=Path(folder), progress=steps
        )
    # The first epoch builds the graph. Timing from first to last step excludes validation.
    later = [ends for epoch, ends in steps.ends.items() if epoch > 1]
    seconds = sum(ends[-1] - ends[0] for ends in later)
    done = sum(len(ends) - 1 for ends in later)
    return {
        "films_per_s": done * options.batch_size / seconds,
        "waited": sum(result.waited for result in history[1:])
        / sum(result.seconds for result in history[1:]),
    }


def steps_alone(options: Any, films: Any, repeats: int) -> float:
    """Return the films per second of network, loss and optimizer on one ready batch."""
    import keras
    import numpy as np

    from mlcore.engine.serving.preprocess import as_input
    from mlcore.engine.training import architectures

    network = architectures.build(options.arch, size=options.image_size, seed=options.seed)
    trainer = keras.Model(network.input, network.output["logit"])
    trainer.compile(
        optimizer=keras.optimizers.AdamW(
            1e-4, weight_decay=options.weight_decay, global_clipnorm=5.0
        ),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    chosen = np.arange(options.batch_size) % len(films.films)
    batch = as_input(films.films[chosen])
    labels = films.labels[chosen].astype(np.float32)[:, np.newaxis]
    for _ in range(2):
        trainer.train_on_batch(batch, labels)
    started = time.perf_counter()
    for _ in range(repeats):
        trainer.train_on_batch(batch, labels)
    return repeats * options.batch_size / (time.perf_counter() - started)


def changes_alone(options: Any, films: Any) -> float:
    """Return the films per second that one thread augments."""
    import numpy as np

    rng = np.random.default_rng(options.seed)
    count = min(len(films.films), 128)
    started = time.perf_counter()
    for index in range(count):
        films.source.augmented(index, rng, options.augmentation)
    return count / (time.perf_counter() - started)


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    before = machine()
    from mlcore.engine.training import training

    options = training.Options(
        arch=arguments.arch, image_size=arguments.image_size, batch_size=arguments.batch_size,
        epochs=arguments.epochs,
    )  # fmt: skip
    if arguments.data:
        films = real(arguments.data, arguments.films, options)
    else:
        films = drawn(arguments.films, options)
    if len(films.films) < 2 * options.batch_size:
        raise SystemExit(f"{len(films.films)} films are fewer than two batches.")
    return {
        "machine": before,
        "films": len(films.films),
        "source": str(arguments.data or "drawn"),
        "arch": options.arch,
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        "training": whole_training(options, films, drawn(8, options)),
        "steps_alone_films_per_s": steps_alone(
            options, films, max(3, len(films.films) // options.batch_size)
        ),
        "changes_alone_films_per_s": changes_alone(options, films),
    }


def report(found: dict[str, Any]) -> None:
    """Print the table."""
    say_machine(found["machine"])
    print(
        f"\n{found['arch']} at {found['image_size']} pixels, batches of {found['batch_size']}, "
        f"{found['films']} films ({found['source']})\n"
    )
    ready, whole = found["steps_alone_films_per_s"], found["training"]["films_per_s"]
    rows = [
        ("steps on one ready batch in memory", f"{ready:.0f}", "1.00"),
        ("training: augmentation, step, averaging", f"{whole:.0f}", f"{whole / ready:.2f}"),
        ("augmentation alone, one thread", f"{found['changes_alone_films_per_s']:.0f}",
         f"{found['changes_alone_films_per_s'] / ready:.2f}"),
    ]  # fmt: skip
    print(table(("", "films/s", "vs. ready batch"), rows))
    print(f"\nTraining waited for films {found['training']['waited']:.1%} of its time.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with class folders (default: synthetic)")
    parser.add_argument("--films", type=int, default=512)
    parser.add_argument("--arch", default="resnet_small")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3, help="epochs; the first is not counted")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs must be 2 or more: the first is not counted")
    found = measured(arguments)
    report(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
