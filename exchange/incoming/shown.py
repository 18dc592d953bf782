"""What supervisors are shown of an X-ray that arrived."""

from dataclasses import dataclass
from typing import Any

from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from diagnosis.models import Sex
from exchange.incoming import facts
from exchange.incoming.models import Arrival
from exchange.incoming.texts import reason_text


@dataclass(frozen=True)
class Shown:
    """An X-ray that arrived, for a page."""

    arrival: Arrival

    @property
    def stated(self) -> dict[str, Any]:
        return self.arrival.stated

    @property
    def reason(self) -> str:
        return reason_text(self.arrival.reason)

    @property
    def image(self) -> str:
        """Modality, view and body part."""
        keys = (facts.MODALITY, facts.VIEW, facts.BODY_PART)
        return " · ".join(str(self.stated[key]) for key in keys if self.stated.get(key))

    @property
    def place(self) -> str:
        """Station and institution."""
        keys = (facts.STATION, facts.INSTITUTION)
        return " · ".join(str(self.stated[key]) for key in keys if self.stated.get(key))

    @property
    def name(self) -> str:
        return str(self.stated.get("patient_name", ""))

    @property
    def number(self) -> str:
        return str(self.stated.get("patient_number", ""))

    @property
    def age(self) -> str:
        age = facts.age_in(self.stated)
        return "" if age is None else _("%(years)d years") % {"years": age}

    @property
    def sex(self) -> str:
        sex = self.stated.get("patient_sex")
        return str(Sex(sex).label) if sex in Sex.values else ""

    @property
    def exam_date(self) -> Any:
        return parse_date(self.stated.get("exam_date", "") or "")
