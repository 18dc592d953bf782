"""The population a model was validated on, as stated on its card and checked by the scope gate."""

from typing import Any

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
