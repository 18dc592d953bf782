"""The page of a patient: the films that the user may see, in the order of their exams."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from diagnosis import access_log
from diagnosis.services.patient_films import films_of
from xraysite.common.paging import KeyPaginator

FILMS_A_PAGE = 50


@require_safe
def patient_detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show a patient's films, the latest exam first.

    Name, number and date of birth are those of the newest reading that the user may see, never
    those of the patient's row.
    """
    readings = films_of(request.user, pk).select_related("doctor", "review", "study", "team")
    page = KeyPaginator(readings.defer("activation_map"), FILMS_A_PAGE).get_page(
        request.GET.get("page")
    )
    films = list(page.object_list)
    if not films:
        raise _denied(pk)
    access_log.record_list(films, what="patient-page")
    shown_to_doctors = [film for film in films if not film.is_hidden]
    context = {
        "page_obj": page,
        "films": films,
        "patient": max(films, key=lambda film: (film.created_at, film.pk)),
        "total": page.paginator.count,
        "names": sorted({film.patient_name for film in films}),
        "numbers": sorted({film.patient_number for film in films if film.patient_number}),
        "may_compare": len(shown_to_doctors) > 1,
        "oversees": request.user.has_perm("diagnosis.oversee_reading"),
    }
    return render(request, "diagnosis/patient_detail.html", context)


def _denied(pk: uuid.UUID) -> Http404:
    """Record the attempt; a patient of other doctors is like one who does not exist."""
    access_log.record_denied(str(pk))
    return Http404(_("This patient does not exist."))
