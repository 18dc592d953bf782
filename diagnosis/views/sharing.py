"""Pages for sharing a case on the discussion board and for withdrawing its image."""

import base64
import logging
import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View

from accounts import account_limits
from accounts.audit.recording import record_access
from diagnosis import board
from diagnosis.forms.sharing import ShareForm
from diagnosis.models import Reading, SharedCase
from diagnosis.services import sharing
from diagnosis.services.films import FilmMissingError
from diagnosis.serving import FILM_MISSING, no_such_reading
from diagnosis.views.readings import OwnReadingMixin

logger = logging.getLogger(__name__)


class ShareCaseView(OwnReadingMixin, View):
    """Share a reading in two steps: edit text and boxes, then check the preview and post.

    The form's `step` is "preview" or "post", or "edit" to go back from the preview.
    """

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self._shareable(pk)
        record_access(reading, what="share-page")
        draft = sharing.default_text(reading)
        initial = {"title": draft.title, "body": draft.body}
        form = ShareForm(initial=initial, doctor=request.user)  # type: ignore[arg-type]
        return self._edit(reading, form)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self._shareable(pk)
        form = ShareForm(request.POST, doctor=request.user)  # type: ignore[arg-type]
        step = request.POST.get("step")
        if step == "edit":
            return self._edit(reading, form.reopened())
        if not form.is_valid():
            return self._edit(reading, form)
        try:
            if step == "post" and form.is_confirmed():
                return self._share(reading, form)
            return self._preview(reading, form)
        except FilmMissingError:
            form.add_error(None, str(FILM_MISSING))
            return self._edit(reading, form, status=503)

    def _shareable(self, pk: uuid.UUID) -> Reading:
        reading = self.own_reading(pk)
        if not sharing.may_share(self.request.user):  # type: ignore[arg-type]
            raise Http404(_("You cannot post to the discussion board."))
        if reading.is_sealed:
            raise Http404(_("Record your own opinion before you share this X-ray."))
        if sharing.is_independent(reading):
            raise Http404(_("A colleague may read this X-ray independently. Share it afterwards."))
        return reading

    def _edit(self, reading: Reading, form: ShareForm, *, status: int = 200) -> HttpResponse:
        context = {"reading": reading, "form": form, "max_boxes": sharing.MAX_BOXES}
        return render(self.request, "diagnosis/case_edit.html", context, status=status)

    def _preview(self, reading: Reading, form: ShareForm) -> HttpResponse:
        data = form.cleaned_data
        picture = base64.b64encode(sharing.redact(reading, data["boxes"])).decode()
        record_access(reading, what="film")
        discussion_board, text = board.current(), f"{data['title']}\n{data['body']}"
        context = {
            "reading": reading,
            "form": form,
            "picture": f"data:image/png;base64,{picture}",
            "alternative": sharing.alt_text(reading),
            "html": discussion_board.rendered(data["body"]),
            "warnings": discussion_board.warnings(self.request.user, text),  # type: ignore[arg-type]
        }
        return render(self.request, "diagnosis/case_preview.html", context)

    def _share(self, reading: Reading, form: ShareForm) -> HttpResponse:
        data = form.cleaned_data
        try:
            with account_limits.counted(account_limits.SHARE, self.request.user):  # type: ignore[arg-type]
                post = sharing.share_case(
                    doctor=self.request.user,  # type: ignore[arg-type]
                    reading_id=reading.pk,
                    category=data["category"],
                    title=data["title"],
                    body=data["body"],
                    boxes=data["boxes"],
                    submission=data["submission"],
                )
        except account_limits.TooManyError as error:
            form.add_error(None, str(error))
            return self._edit(reading, form, status=429)
        except Reading.DoesNotExist:
            raise no_such_reading() from None
        except ValueError as error:
            logger.warning("The discussion board rejected a case: %s", error)
            form.add_error(None, _("The discussion board rejected the case. Try again."))
            return self._edit(reading, form)
        messages.success(self.request, _("Your case has been posted to the discussion board."))
        return redirect(post.url)


class WithdrawCaseView(OwnReadingMixin, View):
    """Ask for confirmation, then withdraw one shared image; the post stays."""

    def get(self, request: HttpRequest, pk: uuid.UUID, picture: uuid.UUID) -> HttpResponse:
        reading = self.own_reading(pk)
        case = reading.shared_cases.filter(picture_id=picture, withdrawn_at__isnull=True).first()
        if case is None:
            raise no_such_reading()
        context = {"reading": reading, "case": case}
        return render(request, "diagnosis/case_confirm_withdraw.html", context)

    def post(self, request: HttpRequest, pk: uuid.UUID, picture: uuid.UUID) -> HttpResponse:
        try:
            sharing.withdraw_case(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                picture_id=picture,
            )
        except (Reading.DoesNotExist, SharedCase.DoesNotExist):
            raise no_such_reading() from None
        messages.success(request, _("The image has been withdrawn from the discussion board."))
        return redirect(f"{reverse('readings:detail', args=[pk])}#shared")
