"""Films of a data set, squashed to squares, in memory."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.evaluation import corruptions
from mlcore.engine.films.film import Film
from mlcore.engine.serving.preprocess import Preprocessing, squash

Films = npt.NDArray[np.uint8]


class SquashedFilms:
    """Squashes films while `dataset.scan` decodes them, so that each is decoded once.

    Every film is kept twice: as it is, and under a random corruption that its pixels decide. Takes
    2 * squash**2 bytes per film. Importing this module does not import Keras.

    Attributes:
        spec: the preprocessing, whose first step is the squash.
    """

    def __init__(self, spec: Preprocessing) -> None:
        self.spec = spec
        self._plain: dict[str, Films] = {}
        self._corrupted: dict[str, Films] = {}

    def add(self, record: FilmRecord, film: Film) -> None:
        """Squash a film; safe to call from several threads."""
        changed = corruptions.any_of(film.pixels, int(record.pixels_sha256[:8], 16))
        self._plain[record.path] = squash(film.pixels, self.spec)
        self._corrupted[record.path] = squash(changed, self.spec)

    def of(self, records: Sequence[FilmRecord], *, corrupted: bool = False) -> Films:
        """Return the films of `records`, (n, squash, squash), in order.

        Raises:
            KeyError: a film has not been added.
        """
        kept = self._corrupted if corrupted else self._plain
        films = np.empty((len(records), self.spec.squash, self.spec.squash), np.uint8)
        for place, record in enumerate(records):
            films[place] = kept[record.path]
        return films
