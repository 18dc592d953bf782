"""The population a model was validated on, as stated on its card and checked by the scope gate."""

from collections.abc import Mapping
from typing import Any

from mlcore.engine.films.header import DicomHeader

# The population of the public paediatric set (Kermany, Zhang, Goldbaum 2018).
PUBLIC_PAEDIATRIC: dict[str, Any] = {
    "age_years": [1, 5],
    "view": ["AP", "PA"],
    "modality": ["CR", "DX", "DR", "RG"],
    "body_part": ["CHEST", "THORAX", "LUNG"],
    "sites": ["Guangzhou Women and Children's Medical Center"],
    "source": (
        "Kermany, Zhang, Goldbaum: Labeled Optical Coherence Tomography (OCT) and Chest X-Ray "
        "Images for Classification, Mendeley Data (2018)"
    ),
    "licence": "CC BY 4.0",
}

# Of a data set of unknown origin. A model with it gets no label anywhere and is not activated.
NOT_STATED: dict[str, Any] = {
    "age_years": [],
    "view": [],
    "modality": [],
    "body_part": [],
    "sites": [],
    "source": "not stated",
    "licence": "not stated",
}

PRESETS = {"public-paediatric": PUBLIC_PAEDIATRIC}


def is_inside(population: Mapping[str, Any], age_years: float) -> bool:
    """Return whether an age belongs to a population; False if it states no ages."""
    if not population.get("age_years"):
        return False
    lowest, highest = population["age_years"]
    # A child is five years old until its sixth birthday.
    return bool(lowest <= age_years < highest + 1)


def header_reasons(population: Mapping[str, Any], header: DicomHeader) -> tuple[str, ...]:
    """Return what a film's header puts outside a population: age, modality, view, body_part.

    An age that contradicts the birth date is outside, because one of the two would be.

    Args:
        population: as stated on a card: `age_years` (lowest and highest), `modality`, `view` and
            `body_part`, upper case.
        header: what the film states; what it leaves out is never outside.
    """
    age = header.age_years
    reasons = []
    if header.ages_differ or (age is not None and not is_inside(population, age)):
        reasons.append("age")
    reasons += [
        reason
        for reason, value in (
            ("modality", header.modality),
            ("view", header.view_position),
            ("body_part", header.body_part),
        )
        if value and value not in population[reason]
    ]
    return tuple(reasons)
