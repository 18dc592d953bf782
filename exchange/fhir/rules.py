"""Which results go to which FHIR server."""

from django.utils.translation import gettext_noop

from diagnosis.models import Label
from diagnosis.models.choices import UNSETTLED
from exchange.fhir.loading import Record
from exchange.fhir.models import FhirServer


def obstacle(record: Record, server: FhirServer) -> str:
    """Return why a reading's result does not go to a server, or "".

    The words are English, and marked for translation.
    """
    reading = record.reading
    if not server.is_enabled:
        return gettext_noop("The system has been switched off.")
    if reading.is_hidden:
        return gettext_noop("The reading has been deleted.")
    # What its doctor may not see yet does not leave by another way.
    if not record.has_answer:
        return gettext_noop("The doctor's own opinion comes first.")
    if reading.second_state in UNSETTLED:
        return gettext_noop("A second reading or an arbiter's decision comes first.")
    if reading.label == Label.UNSURE and not server.sends_unsure:
        return gettext_noop("The result is inconclusive.")
    if reading.label == Label.OUT_OF_SCOPE and not server.sends_out_of_scope:
        return gettext_noop("The X-ray is out of scope.")
    if server.when == FhirServer.When.SIGNED and not record.is_signed:
        return gettext_noop("No opinion has been signed.")
    return ""
