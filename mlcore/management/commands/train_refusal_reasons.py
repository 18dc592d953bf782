from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from PIL import Image

from mlcore.engine.films.film import FilmError, read_film
from mlcore.engine.serving import resemblance
from mlcore.engine.training import resemblance as training
from mlcore.management.commands._common import chosen_model, write_json
from mlcore.registry import LoadedModel

FEWEST = 20


class Command(BaseCommand):
    help = (
        "Train the classifier that names what a refused film resembles, and measure it on films "
        "that a model refuses. Folders are searched with all their subfolders."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--inside",
            type=Path,
            required=True,
            metavar="DIR",
            help="films of the population (required)",
        )
        parser.add_argument(
            "--adults",
            type=Path,
            required=True,
            nargs="+",
            metavar="DIR",
            help="films of adults (required)",
        )
        parser.add_argument(
            "--test-inside", type=Path, required=True, metavar="DIR",
            help="films of the population to measure on (required)",
        )  # fmt: skip
        parser.add_argument(
            "--test-adults", type=Path, required=True, metavar="DIR",
            help="films of adults to measure on, from another hospital than those of --adults "
            "(required)",
        )  # fmt: skip
        parser.add_argument(
            "--model", help="model whose refusals are counted (default: the active model)"
        )
        parser.add_argument(
            "--most", type=int, default=1000, help="films per folder (default: %(default)s)"
        )
        parser.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
        parser.add_argument(
            "--out", type=Path, required=True,
            help=f"file to write; the site uses {resemblance.FILE.name} in mlcore/engine/serving "
            "(required)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        model = chosen_model(options["model"])
        rng = np.random.default_rng(options["seed"])
        most = options["most"]
        inside = self._films(options["inside"], most, rng)
        adults = [film for folder in options["adults"] for film in self._films(folder, most, rng)]
        test = [self._films(options[name], most, rng) for name in ("test_inside", "test_adults")]
        self.stdout.write(f"Training on {len(inside)} films inside and {len(adults)} of adults ...")
        found = training.fit(*training.examples(inside, adults, seed=options["seed"]))
        films, classes = training.examples(*test, seed=options["seed"] + 1)
        self.stdout.write(f"Measuring on {len(films)} films and {model.name} ...")
        table = training.confusion(found, films, classes, is_refused=_refusal_of(model))
        entry = {
            "trained_on": {"inside": len(inside), "adults": len(adults), "seed": options["seed"]},
            "measured": {"model": model.name, "bundle_sha256": model.sha256, "confusion": table},
            **found.to_json(),
        }
        write_json(options["out"], entry, indent=None)
        for name, row in table.items():
            named = [cause for cause in resemblance.CAUSES if row[cause]]
            causes = ", ".join(f"{row[cause]} {cause}" for cause in named)
            self.stdout.write(
                f"{name}: {row['refused']} of {row['films']} refused: "
                f"{causes or 'no cause'}; {row['']} without a cause"
            )

    def _films(self, folder: Path, most: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Return up to `most` films of a folder, chosen at random, (SIDE, SIDE) uint8."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        films: list[np.ndarray] = []
        for index in rng.permutation(len(paths)):
            if len(films) == most:
                break
            try:
                pixels = read_film(paths[index].read_bytes()).pixels
            except FilmError:
                continue
            side = (training.SIDE, training.SIDE)
            films.append(np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.BICUBIC)))
        if len(films) < FEWEST:
            raise CommandError(
                f"{folder} has {len(films)} readable films. At least {FEWEST} are needed."
            )
        return films


def _refusal_of(model: LoadedModel) -> Any:
    limit = model.card["scope"]["threshold"]
    return lambda film: model.run(film).scope_score > limit
