"""Films of a data set in the network's input format, in memory."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.evaluation import corruptions
from mlcore.engine.films.film import Film
from mlcore.engine.serving.preprocess import Preprocessing, prepare_bytes


class PreprocessedFilms:
    """Preprocesses films while `dataset.scan` decodes them, so that each is decoded once.

    Every film is kept twice: as it is, and under a random corruption that its pixels decide. Takes
    2 * size**2 bytes per film. Importing this module does not import Keras.

    Attributes:
        size: side of the network's input in pixels.
        spec: the preprocessing.
    """

    def __init__(self, size: int, spec: Preprocessing) -> None:
        self.size, self.spec = size, spec
        self._plain: dict[str, npt.NDArray[np.uint8]] = {}
        self._corrupted: dict[str, npt.NDArray[np.uint8]] = {}

    def add(self, record: FilmRecord, film: Film) -> None:
        """Preprocess a film; safe to call from several threads."""
        changed = corruptions.any_of(film.pixels, int(record.pixels_sha256[:8], 16))
        self._plain[record.path] = self._prepared(film.pixels)
        self._corrupted[record.path] = self._prepared(changed)

    def of(
        self, records: Sequence[FilmRecord], *, corrupted: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Return the films of `records`, (n, size, size), in order.

        Raises:
            KeyError: a film has not been added.
        """
        kept = self._corrupted if corrupted else self._plain
        films = np.empty((len(records), self.size, self.size), np.uint8)
        for place, record in enumerate(records):
            films[place] = kept[record.path]
        return films

    def _prepared(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return prepare_bytes(pixels, size=self.size, spec=self.spec)
