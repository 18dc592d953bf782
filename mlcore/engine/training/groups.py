"""Groups of films taken with similar equipment and framing, for balanced sampling.

In the public paediatric set, most pneumonia films come from other machines than most normal ones.
A network that is shown both labels equally often within each group of similar films has less to
gain from recognising the machine.
"""

import numpy as np
import numpy.typing as npt

Films = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

GROUPS = 12
# A film of a label that is rare in its group is drawn at most this often in an epoch.
MOST = 8.0
_RINGS, _FRAME, _CELL = 22, 24, 16


def of(films: Films, *, count: int = GROUPS, seed: int) -> Labels:
    """Assign each film to a group by k-means clustering of its spectrum and frame.

    Args:
        films: (n, side, side) uint8, squashed but otherwise unchanged.
        count: number of groups.
        seed: seed of the clustering.

    Returns:
        (n,) group numbers from 0.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    spectra = StandardScaler().fit_transform([_spectrum(film) for film in films])
    frames = StandardScaler().fit_transform([_frame(film) for film in films])
    # Both count the same, whatever their numbers of features.
    features = np.hstack([spectra / np.sqrt(spectra.shape[1]), frames / np.sqrt(frames.shape[1])])
    found = KMeans(min(count, len(films)), n_init=4, random_state=seed).fit_predict(features)
    return np.asarray(found, np.int64)


def shares(labels: Labels, groups: Labels) -> npt.NDArray[np.float64]:
    """Return how often to draw each film, so that both labels are as frequent in every group.

    Each group keeps its size. A film is drawn at most `MOST` times as often as without balancing;
    then both labels are balanced over all groups.

    Args:
        labels: (n,) 0 or 1.
        groups: (n,) group numbers.
    """
    drawn = np.zeros(len(labels))
    for group in np.unique(groups):
        members = groups == group
        for label in (0, 1):
            chosen = members & (labels == label)
            if chosen.any():
                drawn[chosen] = members.sum() / (2 * chosen.sum())
    drawn = np.minimum(drawn, MOST)
    for label in (0, 1):
        drawn[labels == label] /= drawn[labels == label].sum()
    return drawn


def order(count: int, shares: npt.NDArray[np.float64] | None, rng: np.random.Generator) -> Labels:
    """Return the films of an epoch in a random order: (count,) indices.

    Args:
        count: number of films.
        shares: (count,) how often to draw each, relative to the others; None draws each once.
        rng: the only source of randomness.
    """
    if shares is None:
        return rng.permutation(count)
    # Systematic resampling: each film is drawn as often as its share asks, up to one more.
    marks = (np.arange(count) + rng.random()) / count
    drawn = np.searchsorted(np.cumsum(shares) / shares.sum(), marks)
    return rng.permutation(np.minimum(drawn, count - 1))


def _spectrum(film: Films) -> npt.NDArray[np.float64]:
    """Return the logarithm of the power in rings of equal width of spatial frequency."""
    side = film.shape[0]
    light = film.astype(np.float64)
    light = (light - light.mean()) / (light.std() + 1)
    window = np.hanning(side)
    power = np.abs(np.fft.fftshift(np.fft.fft2(light * np.outer(window, window)))) ** 2
    row, column = np.mgrid[:side, :side] - side // 2
    radius = np.hypot(row, column)
    ring = np.minimum(_RINGS * radius / (side // 2), 10 * _RINGS).astype(int)
    sums = np.bincount(ring.ravel(), np.log(power + 1e-3).ravel(), minlength=_RINGS)
    return (sums / np.bincount(ring.ravel(), minlength=_RINGS))[:_RINGS]


def _frame(film: Films) -> npt.NDArray[np.float64]:
    """Return the mean grey level of the cells along the four edges."""
    width = round(film.shape[0] * _FRAME / 224)
    edges = film[:width], film[-width:], film[:, :width].T, film[:, -width:].T
    return np.concatenate(
        [
            [part.mean() for part in np.array_split(edge.astype(np.float64), 224 // _CELL, axis=1)]
            for edge in edges
        ]
    )
