"""Forms for entering orders, one at a time or from a CSV file, and for filtering their list."""

import datetime
import unicodedata
from collections.abc import Mapping
from typing import Any

from crispy_forms.helper import FormHelper
from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_time
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from diagnosis.models import Sex, Team
from diagnosis.services.same_number import known_otherwise, readings_with_number
from exchange.orders import names
from exchange.orders.models import Order, OrderState
from exchange.orders.services import recipients_of
from xraysite.common.forms import DayField
from xraysite.common.identity_numbers import is_doubtful

NAMES = ("name_ideographic", "name_latin", "name_phonetic")
MAX_DAYS_AHEAD = 366 * 2
MAX_DAYS_BACK = 31
RECIPIENT = "recipient"
CONFIRMED = "number_confirmed"


Recipients = Mapping[str, User | Team]


def recipients_by_key(user: User) -> Recipients:
    """Return the teams and doctors whom `user` may enter orders for, by the key in the form."""
    doctors, teams = recipients_of(user)
    return {
        **{f"team-{team.pk}": team for team in teams},
        **{f"doctor-{doctor.pk}": doctor for doctor in doctors},
    }


class RecipientField(forms.ChoiceField):
    """The doctor or the team that an order is for; the cleaned value is the object.

    Args:
        objects: who is offered, see `recipients_by_key`.
    """

    def __init__(self, objects: Recipients, **kwargs: Any) -> None:
        self.objects = dict(objects)
        team_choices = [(key, str(one)) for key, one in self.objects.items() if key[0] == "t"]
        doctor_choices = [(key, str(one)) for key, one in self.objects.items() if key[0] == "d"]
        groups = [(_("Teams"), team_choices), (_("Doctors"), doctor_choices)]
        choices: list[Any] = [("", "---------"), *(group for group in groups if group[1])]
        super().__init__(choices=choices, **kwargs)

    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        return self.objects.get(chosen)

    def key_of(self, recipient: User | Team | None) -> str:
        """Return the key of a doctor or team, "" if it is not offered."""
        return next((key for key, one in self.objects.items() if one == recipient), "")

    def named(self, text: str) -> str:
        """Return the key of a team by its name or a doctor by the email address; "" if unknown."""
        for key, one in self.objects.items():
            names_of_one = {one.name} if isinstance(one, Team) else {one.email.lower()}
            if text in names_of_one or text.lower() in names_of_one:
                return key
        return ""


class OrderForm(forms.ModelForm):
    """An order.

    Args:
        user: who enters it.
        asks: whether a doubtful patient number has to be confirmed; otherwise, `doubts` says so.
        recipients: what `recipients_by_key` returned, for many forms.
    """

    scheduled_date = DayField(
        label=_("Date"),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    scheduled_time = forms.TimeField(
        label=_("Time"), widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"})
    )
    number_confirmed = forms.BooleanField(
        label=_("I have checked the number with the patient's papers; it is right."), required=False
    )

    class Meta:
        model = Order
        fields = [
            "patient_number", "name_ideographic", "name_latin", "name_phonetic", "birth_date",
            "sex", "procedure", "body_part", "modality", "station_ae_title", "referring_doctor",
            "accession_number",
        ]  # fmt: skip
        field_classes = {"birth_date": DayField}
        widgets = {
            **{name: forms.TextInput(attrs={"autocomplete": "off"}) for name in NAMES},
            "patient_number": forms.TextInput(attrs={"autocomplete": "off"}),
            "accession_number": forms.TextInput(attrs={"autocomplete": "off"}),
            "birth_date": forms.DateInput(format="%Y-%m-%d", attrs={"autocomplete": "off"}),
        }
        help_texts = {
            "birth_date": _("Such as 2023-05-01, 112/5/1 or 1120501."),
            "name_latin": _("Family name first, separated by a comma, such as Chen, Wei-Lun."),
            "name_phonetic": _("Only if your machine shows it, such as Zhuyin."),
            "accession_number": _("Leave empty to have one generated."),
            "station_ae_title": _("Leave empty if any machine may take the X-ray."),
        }
        error_messages = {
            "birth_date": {
                "invalid": _(
                    "Enter a date such as 2023-05-01, or 112/5/1 in years of the Republic."
                ),
            },
            "accession_number": {"unique": _("Another order has this accession number.")},
        }

    def __init__(
        self,
        *args: Any,
        user: User,
        asks: bool = True,
        recipients: Recipients | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.asks = user, asks
        self.doubts: list[str] = []
        offered = recipients_by_key(user) if recipients is None else recipients
        self.fields[RECIPIENT] = RecipientField(offered, label=pgettext_lazy("order", "For"))
        self.fields["accession_number"].required = False
        sex: Any = self.fields["sex"]
        sex.choices = [("", _("Not stated")), *Sex.choices]
        self._set_initial(self.fields[RECIPIENT])
        self.helper = FormHelper()
        self.helper.form_tag = False

    def _set_initial(self, field: Any) -> None:
        order = self.instance
        if order._state.adding:
            keys = list(field.objects)
            mine = field.key_of(self.user)
            teams = [key for key in keys if key.startswith("team-")]
            field.initial = teams[0] if len(teams) == 1 and mine else mine
            start = timezone.localtime().replace(minute=0) + datetime.timedelta(hours=1)
            self.fields["procedure"].initial = _("Chest X-ray, frontal")
        else:
            start = timezone.localtime(order.scheduled_at)
            if not field.key_of(order.recipient):  # whom somebody else entered it for
                field.objects["kept"] = order.recipient
                choices: Any = field.choices
                field.choices = [*choices, ("kept", str(order.recipient))]
            field.initial = field.key_of(order.recipient)
            for name in NAMES:
                self.initial[name] = getattr(order, name).replace("^", ", ", 1).replace("^", " ")
        self.fields["scheduled_date"].initial = start.date()
        self.fields["scheduled_time"].initial = start.strftime("%H:%M")

    def _text(self, name: str) -> str:
        return unicodedata.normalize("NFKC", self.cleaned_data[name]).strip()

    def clean_patient_number(self) -> str:
        """Return the number in ASCII where full-width characters were typed."""
        return self._text("patient_number")

    def clean_accession_number(self) -> str:
        return self._text("accession_number")

    def clean_body_part(self) -> str:
        return self._text("body_part").upper()

    def clean_name_latin(self) -> str:
        group = names.as_group(unicodedata.normalize("NFKC", self.cleaned_data["name_latin"]))
        if names.is_ideographic(group):
            raise ValidationError(
                _("Use Latin letters. Chinese characters have a field of their own.")
            )
        return group

    def clean_name_ideographic(self) -> str:
        return names.as_group(self.cleaned_data["name_ideographic"])

    def clean_name_phonetic(self) -> str:
        return names.as_group(self.cleaned_data["name_phonetic"])

    def clean_birth_date(self) -> datetime.date | None:
        birth: datetime.date | None = self.cleaned_data["birth_date"]
        if birth is not None and birth > timezone.localdate():
            raise ValidationError(_("The date of birth is in the future."))
        if birth is not None and birth.year < 1900:
            raise ValidationError(_("Enter the year of birth with four digits."))
        return birth

    def clean_scheduled_date(self) -> datetime.date:
        day: datetime.date = self.cleaned_data["scheduled_date"]
        ahead = (day - timezone.localdate()).days
        if not -MAX_DAYS_BACK <= ahead <= MAX_DAYS_AHEAD:
            raise ValidationError(_("The date is too far away. Check the year."))
        return day

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        groups = [cleaned.get(name, "") for name in NAMES]
        if not any(groups) and not any(name in self.errors for name in NAMES):
            self.add_error(NAMES[0], _("Enter the patient's name in at least one script."))
        day, at = cleaned.get("scheduled_date"), cleaned.get("scheduled_time")
        if day and at:
            moment = datetime.datetime.combine(day, at)
            cleaned["scheduled_at"] = timezone.make_aware(moment)
        self._look_at_number(cleaned.get("patient_number", ""), [one for one in groups if one])
        return cleaned

    def _look_at_number(self, number: str, groups: list[str]) -> None:
        if not number:
            return
        if is_doubtful(number):
            self.doubts.append(str(_("The check digit of the patient number is wrong.")))
        known = readings_with_number(self.user, [number])
        if groups and known_otherwise(known, [names.shown(one) for one in groups], number):
            self.doubts.append(str(_("You know this patient number under another name.")))
        if self.asks and self.doubts and not self.cleaned_data.get(CONFIRMED):
            self.add_error("patient_number", self.doubts)

    @property
    def needs_confirmation(self) -> bool:
        """Whether the box that confirms the number is to be shown."""
        return bool(self.doubts)

    def entered(self) -> dict[str, Any]:
        """Return the values of a valid form by field of `Order`."""
        values = {name: self.cleaned_data[name] for name in self._meta.fields or ()}
        recipient = self.cleaned_data[RECIPIENT]
        is_team = isinstance(recipient, Team)
        return values | {
            "scheduled_at": self.cleaned_data["scheduled_at"],
            "team": recipient if is_team else None,
            "doctor": None if is_team else recipient,
        }


class Period(forms.Form):
    """Filters of the list of orders."""

    TODAY, WEEK, LATER, EARLIER, ALL = "today", "week", "upcoming", "past", "all"
    PERIODS = [
        (LATER, _("From today")),
        (TODAY, _("Today")),
        (WEEK, _("Next 7 days")),
        (EARLIER, _("Before today")),
        (ALL, _("Any day")),
    ]
    STATES = [("", pgettext_lazy("orders", "All")), *OrderState.choices]

    q = forms.CharField(label=_("Search"), required=False, max_length=250)
    state = forms.ChoiceField(label=_("State"), choices=STATES, required=False)
    period = forms.ChoiceField(label=_("Scheduled"), choices=PERIODS, required=False)
    differs = forms.BooleanField(label=_("X-ray of another patient"), required=False)


def time_of(text: str) -> str:
    """Return a typed time as 09:30; other text unchanged, so that the form refuses it."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.isdecimal() and len(plain) in (3, 4):
        plain = f"{plain[:-2]}:{plain[-2:]}"
    try:
        parsed = parse_time(plain)
    except ValueError:
        return text
    return parsed.strftime("%H:%M") if parsed else text
