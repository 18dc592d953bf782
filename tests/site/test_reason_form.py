"""The form that asks for the reason of an action."""

import pytest
from django.utils import translation

from forum.models import MAX_REASON
from xraysite.common.forms import ReasonForm


def test_a_reason_fits_the_field_that_stores_it_on_the_board():
    assert not ReasonForm({"reason": "x" * (MAX_REASON + 1)}).is_valid()


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_reason_is_required(reason):
    with translation.override("en"):
        assert ReasonForm({"reason": reason}).errors["reason"] == ["This field is required."]


def test_length_help_and_input_can_be_chosen():
    form = ReasonForm({"reason": "abcd"}, max_length=3, help_text="Read by all.")
    assert form.fields["reason"].help_text == "Read by all."
    with translation.override("en"):
        assert "at most 3 characters" in form.errors["reason"][0]
    assert ReasonForm({"reason": " why "}).is_valid()
