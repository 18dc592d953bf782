"""Whom a model was validated on: what a card's `population` says, and the scope gate asks."""

from typing import Any

# Whom the films of the public paediatric set show (Kermany, Zhang, Goldbaum 2018).
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
