"""Data sets: from class folders to a manifest of films, patients and splits."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mlcore.engine.data.audit_films import Measures, measure
from mlcore.engine.data.folders import LABELS, SPLITS, DatasetError, find_files
from mlcore.engine.films.film import Film, FilmError, read_film

# Of 256 bits. In the paediatric set, copies differ in 0 bits, the two most similar children in 13.
NEAR_DUPLICATE_BITS = 6

_PERSON = re.compile(r"^(person\d+)_(bacteria|virus)_", re.IGNORECASE)
_NUMBERED = re.compile(r"^((?:NORMAL2-)?IM)-(\d+)-", re.IGNORECASE)
_NIH = re.compile(r"^(\d{8})_\d{3}$")


@dataclass(frozen=True)
class FilmRecord:
    """One readable film of a data set.

    Attributes:
        path: relative to the data set's folder, with forward slashes.
        label: one of LABELS.
        patient: patient identifier derived from the file name; see `identify`.
        series: numbering series or aetiology from the file name, "" if unknown.
        split: one of SPLITS, or "" before splitting.
        sha256: hash of the file.
        pixels_sha256: hash of the decoded grey pixels and their shape.
        perceptual_hash: 256 bits as 64 hexadecimal digits; near-duplicates differ in few bits.
    """

    path: str
    label: str
    patient: str
    series: str
    split: str
    sha256: str
    pixels_sha256: str
    perceptual_hash: str


@dataclass(frozen=True)
class Unreadable:
    """A file that is not a readable film, with the reason."""

    path: str
    code: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The content of a data set. `root` is not part of the hash, so data sets can be moved.

    Attributes:
        root: the data set's folder.
        films: the readable films, sorted by path.
        unreadable: the files that are not readable films.
        measures: the measurements of each film for the audit, by path; empty if not measured.
    """

    root: Path
    films: tuple[FilmRecord, ...]
    unreadable: tuple[Unreadable, ...] = ()
    measures: Mapping[str, Measures] = field(default_factory=dict, repr=False, compare=False)

    def sha256(self) -> str:
        """Return the hash that identifies this data set and its split."""
        rows = sorted((asdict(film) for film in self.films), key=lambda row: row["path"])
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    def of(self, split: str) -> list[FilmRecord]:
        """Return the films of one split, in the manifest's order."""
        return [film for film in self.films if film.split == split]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return split -> label -> number of films."""
        found = Counter((film.split, film.label) for film in self.films)
        splits = [split for split in SPLITS if any(key[0] == split for key in found)] or [""]
        return {split: {label: found[split, label] for label in LABELS} for split in splits}


def identify(stem: str) -> tuple[str, str]:
    """Derive patient and series from a file name without its suffix.

    Supports the names of the paediatric set (`person1000_bacteria_2931`, `IM-0115-0001`,
    `NORMAL2-IM-0381-0001`) and of NIH ChestX-ray (`00001281_000`). A person number is one patient
    regardless of the aetiology: 808 numbers occur with both, and keeping two patients together is
    better than leaking one. The two IM series are numbered independently. Any other name is
    treated as a separate patient.

    Returns:
        (patient, series): series is "bacteria", "virus", "IM", "NORMAL2-IM", "NIH" or "".
    """
    if match := _PERSON.match(stem):
        return match[1].lower(), match[2].lower()
    if match := _NUMBERED.match(stem):
        series = match[1].upper()
        return f"{series}-{match[2]}", series
    if match := _NIH.match(stem):
        return f"NIH-{match[1]}", "NIH"
    return stem, ""


def scan(
    root: Path,
    *,
    measured: bool = True,
    ignored: Sequence[str] = (),
    on_film: Callable[[FilmRecord, Film], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int = 4,
) -> Manifest:
    """Read every file of a data set.

    Args:
        root: see `find_files`.
        measured: whether to measure each film, which `audit.audited` needs.
        ignored: see `find_files`.
        on_film: called with each film while it is decoded, from several threads at once. Training
            preprocesses films here, because decoding them again would take minutes.
        on_progress: called with (files read, total files).
        workers: number of decoding threads.

    Raises:
        DatasetError: see `find_files`; or a class has no readable film.
    """
    files = find_files(root, ignored=ignored)
    films: list[FilmRecord] = []
    unreadable: list[Unreadable] = []
    measures: dict[str, Measures] = {}

    def read(file: tuple[Path, str, str]) -> FilmRecord | Unreadable:
        path, label, split = file
        relative = path.relative_to(root).as_posix()
        try:
            data = path.read_bytes()
            film = read_film(data)
        except FilmError as error:
            return Unreadable(relative, str(error.code), str(error))
        except OSError as error:
            return Unreadable(relative, "unreadable", str(error))
        record = _record(film, path, relative, label, split)
        if measured:
            measures[relative] = measure(film, data)
        if on_film:
            on_film(record, film)
        return record

    with ThreadPoolExecutor(workers) as pool:
        for done, entry in enumerate(pool.map(read, files), start=1):
            if isinstance(entry, Unreadable):
                unreadable.append(entry)
            else:
                films.append(entry)
            if on_progress:
                on_progress(done, len(files))
    readable = {film.label for film in films}
    if missing := [label for label in LABELS if label not in readable]:
        raise DatasetError(f"{root} contains no readable film of: {', '.join(missing)}.")
    return Manifest(root, tuple(films), tuple(unreadable), measures)


def _record(film: Film, path: Path, relative: str, label: str, split: str) -> FilmRecord:
    patient, series = identify(path.stem)
    return FilmRecord(
        path=relative,
        label=label,
        patient=patient,
        series=series,
        split=split,
        sha256=film.sha256,
        pixels_sha256=pixels_sha256(film.pixels),
        perceptual_hash=perceptual_hash(film.pixels),
    )


def pixels_sha256(pixels: np.ndarray) -> str:
    """Return the hash of (H, W) uint8 pixels and their shape, which identifies a film."""
    shape = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(shape + pixels.tobytes()).hexdigest()


def perceptual_hash(pixels: np.ndarray) -> str:
    """Return a 256-bit difference hash of a (H, W) uint8 film as 64 hexadecimal digits.

    Each bit states whether a cell of a 16x17 thumbnail is brighter than its left neighbour, which
    is robust to rescaling, compression and changes of brightness.
    """
    thumbnail = Image.fromarray(pixels).resize((17, 16), Image.Resampling.BOX)
    grid = np.asarray(thumbnail, dtype=np.int16)
    return np.packbits(grid[:, 1:] > grid[:, :-1]).tobytes().hex()


def near_duplicates(
    films: Sequence[FilmRecord], *, bits: int = NEAR_DUPLICATE_BITS
) -> list[tuple[int, int]]:
    """Return index pairs (i < j) whose perceptual hashes differ in at most `bits` of 256 bits."""
    raw = np.array([list(bytes.fromhex(film.perceptual_hash)) for film in films], dtype=np.uint8)
    signs = np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(signs), 512):
        agreement = signs[start : start + 512] @ signs.T
        rows, columns = np.nonzero(agreement >= 256 - 2 * bits)
        keep = rows + start < columns
        pairs += zip((rows[keep] + start).tolist(), columns[keep].tolist(), strict=True)
    return pairs


def groups(films: Sequence[FilmRecord]) -> list[int]:
    """Return a group number per film; films of a group must stay in the same split.

    Films of one patient, exact duplicates and near-duplicates form a group.
    """
    parent = list(range(len(films)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, film in enumerate(films):
        for key in (("patient", film.patient), ("pixels", film.pixels_sha256)):
            parent[root(index)] = root(first.setdefault(key, index))
    for left, right in near_duplicates(films):
        parent[root(left)] = root(right)
    return [root(index) for index in range(len(films))]


def split_by_patient(
    manifest: Manifest, *, seed: int, shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Manifest:
    """Assign every film to train, validation or test, keeping groups together (see `groups`).

    Stratified by label and series. The same films and seed give the same split.

    Args:
        manifest: the result of `scan`.
        seed: seed of the shuffle.
        shares: fractions of train, validation and test; they sum to 1.

    Raises:
        DatasetError: there are too few groups for both labels in every split.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups(manifest.films)):
        members[group].append(index)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for indices in members.values():
        kinds = {f"{manifest.films[i].label}/{manifest.films[i].series}" for i in indices}
        strata["+".join(sorted(kinds))].append(indices)
    rng = np.random.default_rng(seed)
    assigned = [""] * len(manifest.films)
    for _stratum, stratum_groups in sorted(strata.items()):
        stratum_groups.sort(key=lambda indices: manifest.films[indices[0]].path)
        order = rng.permutation(len(stratum_groups))
        _deal([stratum_groups[i] for i in order], shares, assigned)
    films = tuple(
        replace(film, split=side) for film, side in zip(manifest.films, assigned, strict=True)
    )
    split = replace(manifest, films=films)
    _require_both_labels(split)
    return split


def _deal(ordered: list[list[int]], shares: Sequence[float], assigned: list[str]) -> None:
    """Assign each group to the split furthest below its share; test first on ties."""
    total = sum(map(len, ordered))
    filled = [0, 0, 0]
    for indices in ordered:
        lack = [share * total - have for share, have in zip(shares, filled, strict=True)]
        side = max(range(3), key=lambda k: (lack[k] / max(shares[k], 1e-9), k))
        filled[side] += len(indices)
        for index in indices:
            assigned[index] = SPLITS[side]


def _require_both_labels(manifest: Manifest) -> None:
    for split, counts in manifest.counts().items():
        if absent := [label for label, count in counts.items() if not count]:
            raise DatasetError(f"Too few patients to split: {split} has no {' or '.join(absent)}.")
    if len(manifest.counts()) < len(SPLITS):
        raise DatasetError("Too few patients for a training, a validation and a test set.")


@dataclass(frozen=True)
class Leaks:
    """Patients and pairs of copies that are in more than one split."""

    patients: tuple[str, ...]
    exact: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.patients or self.exact or self.near)


def find_leaks(manifest: Manifest) -> Leaks:
    """Find patients, exact duplicates and near-duplicates in more than one split."""
    sides: dict[str, set[str]] = defaultdict(set)
    copies: dict[str, list[FilmRecord]] = defaultdict(list)
    for film in manifest.films:
        sides[film.patient].add(film.split)
        copies[film.pixels_sha256].append(film)
    exact = [pair for same in copies.values() for pair in _across(_pairs(same))]
    exact_set = set(exact)
    near = _across(
        (manifest.films[i], manifest.films[j]) for i, j in near_duplicates(manifest.films)
    )
    return Leaks(
        patients=tuple(sorted(patient for patient, at in sides.items() if len(at) > 1)),
        exact=tuple(exact),
        near=tuple(pair for pair in near if pair not in exact_set),
    )


def _pairs(films: list[FilmRecord]) -> Iterable[tuple[FilmRecord, FilmRecord]]:
    return ((a, b) for i, a in enumerate(films) for b in films[i + 1 :])


def _across(pairs: Iterable[tuple[FilmRecord, FilmRecord]]) -> list[tuple[str, str]]:
    return [(a.path, b.path) for a, b in pairs if a.split != b.split]
