"""What a check finds."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        code: what kind, for scripts.
        subject: the file, row or folder.
        text: what it means and what to do.
        repaired: whether it has been repaired.
    """

    code: str
    subject: str
    text: str
    repaired: bool = False


@dataclass
class Run:
    """A run of the checks.

    Attributes:
        repair: whether to repair what can be repaired.
        quick: whether to compare sizes instead of reading every X-ray.
        checked: number of things checked, by kind.
        notes: number of things that are no faults but worth knowing, by kind.
    """

    repair: bool = False
    quick: bool = False
    checked: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


Check = Callable[[Run], Iterator[Finding]]
