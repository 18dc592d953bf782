"""Structured findings on a child's chest X-ray, as stored and as shown.

A finding is a JSON object:

- `code`: a `Finding`;
- `side`: a `Side`, or "" where the finding has none or it is not stated;
- `lobes`: codes of `Lobe`, for a consolidation only;
- `text`: a few words of the doctor, for `OTHER` and `DEVICE` only.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

TEXT_LENGTH: Final = 120


class Finding(models.TextChoices):
    """What can be seen; `NONE` excludes every other."""

    NONE = "none", pgettext_lazy("finding", "No abnormality")
    CONSOLIDATION = "consolidation", pgettext_lazy("finding", "Consolidation")
    INTERSTITIAL = "interstitial", pgettext_lazy("finding", "Interstitial pattern")
    EFFUSION = "effusion", pgettext_lazy("finding", "Pleural effusion")
    HYPERINFLATION = "hyperinflation", pgettext_lazy("finding", "Hyperinflation")
    ATELECTASIS = "atelectasis", pgettext_lazy("finding", "Atelectasis")
    CARDIOMEGALY = "cardiomegaly", pgettext_lazy("finding", "Cardiomegaly")
    DEVICE = "device", pgettext_lazy("finding", "Tube, line or device")
    OTHER = "other", pgettext_lazy("finding", "Other")


class Side(models.TextChoices):
    """Side of the patient, not of the image."""

    RIGHT = "right", pgettext_lazy("side", "Right")
    LEFT = "left", pgettext_lazy("side", "Left")
    BOTH = "both", pgettext_lazy("side", "Both")


class Lobe(models.TextChoices):
    """The lobes of the lungs."""

    RUL = "RUL", pgettext_lazy("lobe", "Right upper")
    RML = "RML", pgettext_lazy("lobe", "Right middle")
    RLL = "RLL", pgettext_lazy("lobe", "Right lower")
    LUL = "LUL", pgettext_lazy("lobe", "Left upper")
    LLL = "LLL", pgettext_lazy("lobe", "Left lower")


SIDED: Final = (
    Finding.CONSOLIDATION, Finding.INTERSTITIAL, Finding.EFFUSION, Finding.HYPERINFLATION,
    Finding.ATELECTASIS, Finding.OTHER,
)  # fmt: skip
WORDED: Final = (Finding.DEVICE, Finding.OTHER)
# Findings of lungs and pleura: with one of them, a film is not normal.
ABNORMAL: Final = (
    Finding.CONSOLIDATION, Finding.INTERSTITIAL, Finding.EFFUSION, Finding.HYPERINFLATION,
    Finding.ATELECTASIS, Finding.CARDIOMEGALY,
)  # fmt: skip


def finding(
    code: str, *, side: str = "", lobes: Iterable[str] = (), text: str = ""
) -> dict[str, Any]:
    """Return a finding as it is stored; a consolidation's side follows from its lobes.

    Raises:
        ValueError: a code is unknown.
    """
    code = Finding(code)
    chosen = [lobe for lobe in Lobe.values if lobe in set(lobes)]
    if code != Finding.CONSOLIDATION:
        chosen = []
    sides = {Side.RIGHT if lobe.startswith("R") else Side.LEFT for lobe in chosen}
    if sides:
        side = Side.BOTH if len(sides) == 2 else sides.pop()
    side = str(Side(side)) if side and code in SIDED else ""
    kept = " ".join(text.split())[:TEXT_LENGTH] if code in WORDED else ""
    return {"code": str(code), "side": side, "lobes": chosen, "text": kept}


def shown(stored: Mapping[str, Any]) -> str:
    """Return a finding in the active language: "Consolidation, right (right lower)"."""
    words = str(Finding(stored["code"]).label)
    if stored.get("lobes"):
        lobes = ", ".join(str(Lobe(code).label) for code in stored["lobes"])
        words = _("%(finding)s: %(place)s") % {"finding": words, "place": lobes}
    elif stored.get("side"):
        side = str(Side(stored["side"]).label)
        words = _("%(finding)s: %(place)s") % {"finding": words, "place": side}
    if stored.get("text"):
        words = _("%(finding)s (%(text)s)") % {"finding": words, "text": stored["text"]}
    return words


def summary(findings: Iterable[Mapping[str, Any]]) -> str:
    """Return findings as one line of codes, for exports and the audit log: not translated."""
    return "; ".join(
        " ".join(filter(None, [
            each["code"], each.get("side", ""), "+".join(each.get("lobes", ())),
            f"({each['text']})" if each.get("text") else "",
        ]))
        for each in findings
    )  # fmt: skip
