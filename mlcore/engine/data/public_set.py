"""Recognition of the public paediatric set by the hashes of its films' pixels.

`public_paediatric.bin` holds 9 bytes per distinct film of the 224-pixel training split: the first 8
bytes of the SHA-256 of the pixels (`FilmRecord.pixels_sha256`), and the index of its label.
"""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mlcore.engine.data.dataset import LABELS, Manifest

HASHES = Path(__file__).with_name("public_paediatric.bin")
HASH_BYTES = 8
SOURCE = "https://data.mendeley.com/datasets/rscbjbr9sj/2"
LICENCE = "CC BY 4.0"


@dataclass(frozen=True)
class Check:
    """A folder compared with the public set.

    Attributes:
        expected: distinct films of the public set, by label.
        found: those of them in the folder, by label.
        relabelled: paths of films of the set that the folder has under the other label.
        surplus: paths of films that are not in the set, or were altered.
        unreadable: paths of files that are no readable film.
    """

    expected: dict[str, int]
    found: dict[str, int]
    relabelled: tuple[str, ...]
    surplus: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def missing(self) -> dict[str, int]:
        """Number of films of the set that the folder lacks, by label."""
        return {label: self.expected[label] - self.found[label] for label in LABELS}

    @property
    def is_complete(self) -> bool:
        """Whether the folder has every film of the set and no other file."""
        return not any(self.missing.values()) and self.is_part and not self.unreadable

    @property
    def is_part(self) -> bool:
        """Whether every readable film is of the set, with its label."""
        return not self.relabelled and not self.surplus


@functools.cache
def _labels() -> dict[bytes, str]:
    content = HASHES.read_bytes()
    step = HASH_BYTES + 1
    rows = (content[i : i + step] for i in range(0, len(content), step))
    return {row[:HASH_BYTES]: LABELS[row[HASH_BYTES]] for row in rows}


def check(manifest: Manifest) -> Check:
    """Compare the films of a manifest with the public set."""
    known = _labels()
    found: set[bytes] = set()
    relabelled, surplus = [], []
    for film in manifest.films:
        digest = bytes.fromhex(film.pixels_sha256)[:HASH_BYTES]
        if digest not in known:
            surplus.append(film.path)
        elif known[digest] != film.label:
            relabelled.append(film.path)
        else:
            found.add(digest)
    expected, present = Counter(known.values()), Counter(known[digest] for digest in found)
    return Check(
        expected={label: expected[label] for label in LABELS},
        found={label: present[label] for label in LABELS},
        relabelled=tuple(relabelled),
        surplus=tuple(surplus),
        unreadable=tuple(entry.path for entry in manifest.unreadable),
    )
