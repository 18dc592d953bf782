"""Cost of a reading: the shipped bundle under LiteRT, compared with the usual alternatives.

    python benchmarks/bench_inference.py [--bundle DIR] [--repeats N] [--json F]

Each runtime runs in a separate process on one core and reads the same synthetic film repeatedly,
one at a time, like uploads by doctors. No patient's film is needed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from measuring import (
    ROOT,
    machine,
    milliseconds,
    pin_to_one_core,
    resident_mb,
    say_machine,
    summary,
    table,
)

CONTESTANTS = {
    "litert": "LiteRT, this project",
    "function": "Keras in tf.function",
    "predict": "Keras model.predict",
    "seed_cnn": "tutorial CNN, model.predict",
}
READY = "ready"
SEED_CNN_SIZE = 64
PEAK_ROUNDS = 60


def drawn_film(megapixels: float) -> bytes:
    """Draws a chest film of about that size as JPEG bytes."""
    from tests.films import encode, synthetic_film

    return encode(
        synthetic_film("PNEUMONIA", seed=7, size=round((megapixels * 1e6) ** 0.5)), "jpeg"
    )


def prepared(card: dict[str, Any], *, whole_size: int | None) -> dict[str, Any]:
    """Return the films that every runtime reads, by the network's file: of the lungs, of the whole.

    Args:
        card: the bundle's card.
        whole_size: side of the input of the network that finds the lungs, if there is one.
    """
    import numpy as np

    from mlcore.engine.serving import golden, lung_box, pipeline, preprocess
    from mlcore.engine.serving.lungs import SIDE, Lungs

    spec = preprocess.Preprocessing.from_card(card["preprocessing"])
    film, size = golden.draw(0), card["input_size"]
    if whole_size is None:
        return {"model": preprocess.prepare(film, size=size, spec=spec)}
    squashed = preprocess.squash(film, spec)
    everything = Lungs(np.full((SIDE, SIDE), 255, np.uint8), (0.0, 0.0, SIDE, SIDE), ())
    box = lung_box.prepare(squashed, everything, size=size, spec=spec)
    whole = pipeline.whole(squashed, whole_size)
    return {"model": preprocess.as_input(box), "lungs": preprocess.as_input(whole)}


def read_with(name: str, folder: Path) -> tuple[Callable[[], Any], Callable[[], float | None]]:
    """Load a runtime; return a function that reads the film, and one that returns its log-odds.

    A bundle that reads the lungs only has two networks; both run for each film.
    """
    import numpy as np

    if name == "litert":
        from mlcore.engine.serving import bundle
        from mlcore.engine.serving.pipeline import Pipeline

        found = bundle.read(folder)
        line = Pipeline.of(found)
        finder = line.finder
        films = prepared(found.card, whole_size=finder.input_shape[1] if finder else None)

        def run() -> Any:
            if finder:
                finder.run(films["lungs"])
            return line.model.run(films["model"])

        return run, lambda: float(run()["activation_map"].mean())

    from mlcore.engine.training import architectures

    if name == "seed_cnn":
        network = architectures.build("seed_cnn", size=SEED_CNN_SIZE)
        film = np.random.default_rng(0).random((1, SEED_CNN_SIZE, SEED_CNN_SIZE, 1), np.float32)
        return lambda: network.predict(film, verbose=0), lambda: None
    networks = keras_networks(folder)
    whole_size = networks["lungs"].input.shape[1] if "lungs" in networks else None
    films = prepared(json.loads((folder / "card.json").read_text()), whole_size=whole_size)
    calls: dict[str, Callable[[Any], Any]]
    if name == "predict":
        calls = {key: partial(net.predict, verbose=0) for key, net in networks.items()}
    else:
        import tensorflow as tf

        calls = {key: tf.function(partial(net, training=False)) for key, net in networks.items()}
    read = lambda: {key: call(films[key][np.newaxis]) for key, call in calls.items()}  # noqa: E731
    return read, lambda: float(np.asarray(read()["model"]["logit"])[0, 0])


def keras_networks(folder: Path) -> dict[str, Any]:
    """Return the trained networks of a bundle by the name of their file, without suffix."""
    import keras

    return {
        name: keras.models.load_model(folder / f"{name}.keras", compile=False)
        for name in ("model", "lungs")
        if (folder / f"{name}.keras").is_file()
    }


def contestant(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Report when the runtime is ready, then measure it; runs in a separate process."""
    read, log_odds = read_with(name, folder)
    read()
    print(READY, flush=True)
    return {**milliseconds(read, repeats), "memory_mb": resident_mb(), "log_odds": log_odds()}


def web_process(folder: Path, repeats: int, film: bytes) -> dict[str, Any]:
    """Measure a complete reading and what a gunicorn worker loads; runs in a separate process."""
    memory = {"python": resident_mb()}
    os.environ["DJANGO_SETTINGS_MODULE"] = "xraysite.settings.local"
    import xraysite.wsgi  # noqa: F401

    memory["with_django"] = resident_mb()
    from mlcore import inference, registry

    loaded = registry.load(folder)
    memory["with_model"] = resident_mb()
    whole = milliseconds(lambda: inference.predict(film, model=loaded), repeats)
    memory["after_readings"] = resident_mb()
    print(READY, flush=True)
    return {"film_bytes": len(film), "memory_mb": memory, "whole_ms": whole,
            "stages_ms": stages(film, loaded, repeats)}  # fmt: skip


def stages(film: bytes, loaded: Any, repeats: int) -> dict[str, dict[str, float]]:
    """Time each stage from the uploaded file to the data that a reading stores."""
    from mlcore.engine.films.film import read_film
    from mlcore.engine.serving.explain import encode_activation_map

    times: dict[str, list[float]] = {"decode": [], "read": [], "answer": []}
    for number in range(repeats + 3):
        marks = [time.perf_counter()]
        pixels = read_film(film).pixels
        marks.append(time.perf_counter())
        output = loaded.run(pixels)
        marks.append(time.perf_counter())
        encode_activation_map(loaded.pipeline.heatmap(output))
        marks.append(time.perf_counter())
        if number >= 3:
            for place, stage in enumerate(times.values()):
                stage.append(1000 * (marks[place + 1] - marks[place]))
    return {name: summary(stage) for name, stage in times.items()}


def processor_and_work(folder: Path) -> dict[str, Any]:
    """Measure one core's peak and the network's share of it; runs in a separate process.

    Products and readings alternate, so that other processes slow both down alike.
    """
    import numpy as np

    # Small enough for the core's cache, where a matrix product comes nearest to the peak.
    side = 384
    left = np.random.default_rng(0).random((side, side), np.float32)
    read, _ = read_with("litert", folder)
    products, readings = [], []
    for _ in range(PEAK_ROUNDS):
        products += [_seconds(lambda: left @ left) for _ in range(10)]
        readings.append(_seconds(read))
    from mlcore.engine.training import architectures

    networks = keras_networks(folder).values()
    seed_cnn = architectures.build("seed_cnn", size=SEED_CNN_SIZE)
    print(READY, flush=True)
    peak_gflops = 2 * side**3 / min(products) / 1e9
    work = sum(map(macs, networks))
    network_gflops = 2 * work / min(readings) / 1e9
    return {
        "peak_gflops": peak_gflops,
        "network_gflops": network_gflops,
        "share_of_peak": network_gflops / peak_gflops,
        "macs": work,
        "parameters": sum(network.count_params() for network in networks),
        "seed_cnn_macs": macs(seed_cnn),
        "seed_cnn_parameters": seed_cnn.count_params(),
    }


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def macs(network: Any) -> int:
    """Return the multiply-accumulates of a Keras network's convolutions and dense layers per film.

    Normalisation, pooling and activation are not counted; together they are a few per cent.
    """
    import math

    import keras

    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += macs(layer)
        elif isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
            # Each weight of the kernel is used once at each position of the output.
            _, height, width, _ = layer.output.shape
            total += height * width * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


def in_own_process(part: str, options: argparse.Namespace, *, repeats: int) -> dict[str, Any]:
    """Run a part of this file in a new process; add `cold_s`, from start to first prediction."""
    command = [
        sys.executable, __file__, "--part", part, "--bundle", options.bundle,
        "--repeats", repeats, "--film", options.film,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as var, tempfile.TemporaryFile("w+") as complaints:
        # The web part must not touch the site's own folder.
        environment = os.environ | {"XRAYSITE_VAR": var, "PRIVATE_MEDIA_ROOT": f"{var}/private"}
        started = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=complaints, text=True,
            env=environment, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101
        cold, last = float("nan"), ""
        for line in process.stdout:
            if line.strip() == READY:
                cold = time.perf_counter() - started
            last = line
        if process.wait() != 0:
            complaints.seek(0)
            raise SystemExit(f"{part} failed:\n{complaints.read()}")
    return {**json.loads(last), "cold_s": cold}


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Run all parts, one after another."""
    found: dict[str, Any] = {"machine": machine(), "bundle": str(options.bundle)}
    found["contestants"] = {}
    for name in options.only:
        result = in_own_process(name, options, repeats=options.repeats)
        again = (in_own_process(name, options, repeats=1) for _ in range(options.starts - 1))
        starts = [result["cold_s"], *(start["cold_s"] for start in again)]
        result["cold_s"] = summary(starts)["median"]
        found["contestants"][name] = result
    found["web"] = in_own_process("web", options, repeats=options.repeats)
    found["work"] = in_own_process("work", options, repeats=1)
    return found


def report(found: dict[str, Any]) -> None:
    """Print the tables."""
    say_machine(found["machine"])
    contestants = found["contestants"]
    own = contestants.get("litert")

    def beside(result: dict[str, Any], key: str, form: str) -> str:
        ratio = f" ({result[key] / own[key]:.1f}x)" if own else ""
        return f"{result[key]:{form}}{ratio}"

    print("\nOne film at a time, one core, preprocessed film to prediction (relative to LiteRT)\n")
    rows = [
        (CONTESTANTS[name], f"{result['best']:.2f}", beside(result, "median", ".2f"),
         beside(result, "p95", ".2f"),
         beside(result, "memory_mb", ".0f"), beside(result, "cold_s", ".2f"))
        for name, result in contestants.items()
    ]  # fmt: skip
    print(table(("", "best ms", "median ms", "p95 ms", "memory MB", "cold start s"), rows))
    odds = [result["log_odds"] for result in contestants.values() if result["log_odds"] is not None]
    if len(odds) > 1:
        print(f"\nThe same film's log-odds differ by {max(odds) - min(odds):.1e} at most.")
    web, work = found["web"], found["work"]
    print(f"\nA complete reading: JPEG of {web['film_bytes'] / 1e6:.2f} MB to stored data\n")
    stage_rows = [
        (name, f"{times['best']:.2f}", f"{times['median']:.2f}", f"{times['p95']:.2f}")
        for name, times in (
            *web["stages_ms"].items(),
            ("mlcore.inference.predict", web["whole_ms"]),
        )
    ]
    print(table(("stage", "best ms", "median ms", "p95 ms"), stage_rows))
    print("\nMemory of a web process, MB")
    print("  " + ", ".join(f"{name} {value:.0f}" for name, value in web["memory_mb"].items()))
    print(
        f"\nThe network: {work['macs'] / 1e6:.0f} million multiply-accumulates, "
        f"{work['parameters'] / 1e6:.2f} M parameters; the tutorial CNN at {SEED_CNN_SIZE} pixels: "
        f"{work['seed_cnn_macs'] / 1e6:.0f} million, {work['seed_cnn_parameters'] / 1e6:.2f} M."
    )
    print(
        f"One core multiplies float32 matrices at {work['peak_gflops']:.0f} GFLOP/s, the peak in "
        f"practice; the network runs at {work['network_gflops']:.0f}, "
        f"{work['share_of_peak']:.0%} of it (best times of both, measured in turn)."
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shipped = max((ROOT / "mlcore" / "bundles").glob("*/card.json")).parent
    parser.add_argument("--bundle", type=Path, default=shipped, help="default: the shipped bundle")
    parser.add_argument("--repeats", type=int, default=200, help="number of timed readings")
    parser.add_argument("--starts", type=int, default=3, help="cold starts per runtime")
    parser.add_argument("--megapixels", type=float, default=2.0, help="size of the synthetic film")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--film", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(options.repeats, options.starts) < 1 or options.megapixels <= 0.004:
        parser.error("--repeats and --starts must be 1 or more, --megapixels above 0.004")
    if not (options.bundle / "card.json").is_file():
        parser.error(f"{options.bundle} does not contain a bundle")
    options.bundle = options.bundle.resolve()
    return options


def main() -> None:
    options = parsed()
    if options.part:
        pin_to_one_core()
        if options.part == "web":
            result = web_process(options.bundle, options.repeats, options.film.read_bytes())
        elif options.part == "work":
            result = processor_and_work(options.bundle)
        else:
            result = contestant(options.part, options.bundle, options.repeats)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        # Drawn here, so that no measured process loads the code that draws it.
        options.film = Path(folder) / "film.jpeg"
        options.film.write_bytes(drawn_film(options.megapixels))
        found = measured(options)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
