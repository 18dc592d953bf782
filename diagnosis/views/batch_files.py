"""Beginning a batch and sending its files, one request each, or several without a script."""

import uuid
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views import View

from accounts import account_limits
from diagnosis.batches import receiving
from diagnosis.batches.receiving import BatchClosedError, FullError, Received
from diagnosis.batches.tables import is_table
from diagnosis.batches.zip_files import ZipFileError
from diagnosis.forms.teams import BatchTeamForm
from diagnosis.models import Batch, BatchItem
from diagnosis.readiness import obstacle
from diagnosis.services import quotas
from diagnosis.validators import refusal_to_store, too_large
from diagnosis.views.batches import (
    OwnBatchMixin,
    by_script,
    limit_reached,
    rows_response,
    urls_of,
)
from diagnosis.views.readings import obstacle_page
from xraysite.common.uploads import TOO_LARGE_KEY, upload_fault


class _TakesFiles(OwnBatchMixin, View):
    """A view that receives files of batches."""

    @staticmethod
    def upload_limit(name: str) -> int:
        """Return how many bytes a file of this name may have."""
        is_zip = name.lower().endswith(".zip")
        return int(settings.BATCH_MAX_ZIP_BYTES if is_zip else settings.FILM_MAX_BYTES)

    def take(self, batch: Batch, file: UploadedFile, path: str) -> Received:
        if file.file is None:
            raise OSError("An upload without a file.")
        return receiving.add_file(
            doctor=self.request.user,  # type: ignore[arg-type]
            batch_id=batch.pk,
            path=path or file.name or "",
            file=file.file,
        )

    def take_all(self, batch: Batch) -> None:
        """Take the files of a form that no script sent, CSV files first; say what was not taken."""
        files = self.request.FILES.getlist("files")
        said = [str(text) for text in self._lost()]
        for file in sorted(files, key=lambda file: not is_table(file.name or "")):
            try:
                said += self.take(batch, file, "").problems
            except (FullError, quotas.QuotaError, account_limits.TooManyError) as error:
                said.append(str(error))
                break
            except (ZipFileError, BatchClosedError) as error:
                said.append(f"{file.name}: {_text_of(error)}")
            except OSError as error:
                said += [str(text) for text in refusal_to_store(error).messages]
                break
        receiving.finish_sending(doctor=self.request.user, batch_id=batch.pk)  # type: ignore[arg-type]
        for text in dict.fromkeys(said):
            messages.error(self.request, text)

    def _lost(self) -> list[str]:
        """Return why files of the request did not arrive."""
        if TOO_LARGE_KEY in self.request.META:
            return list(too_large().messages)
        fault = upload_fault(self.request.META)
        return [f"{fault.title}. {fault.text}"] if fault is not None else []


class NewBatchView(_TakesFiles):
    """A page to send files on; the first of them begin a batch."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if (found := obstacle()) is not None:
            return obstacle_page(request, *found)
        inbox = BatchItem.objects.in_inbox_of(request.user).count()
        context = {"inbox": inbox, "team_form": BatchTeamForm(doctor=request.user)}
        return render(request, "diagnosis/batch_new.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        if not by_script(request) and not request.FILES:
            if not (lost := self._lost()):
                lost = [_("Choose at least one file.")]
            for text in lost:
                messages.error(request, text)
            return redirect("readings:new_batch")
        team = BatchTeamForm(request.POST, doctor=request.user).chosen()
        batch = receiving.begin_batch(doctor=request.user, team=team)  # type: ignore[arg-type]
        if by_script(request):
            return JsonResponse(urls_of(batch), status=201)
        self.take_all(batch)
        return redirect(batch)


class BatchFilesView(_TakesFiles):
    """Receive a file of a batch (or, without a script, several)."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        batch = self.own_batch(pk)
        if not by_script(request):
            self.take_all(batch)
            return redirect(batch)
        if lost := self._lost():
            status = 422 if TOO_LARGE_KEY in request.META else 503
            return JsonResponse({"error": " ".join(map(str, lost))}, status=status)
        file = request.FILES.get("file")
        if file is None:
            return JsonResponse({"error": _("The file did not arrive.")}, status=422)
        try:
            received = self.take(batch, file, request.POST.get("path", ""))
        except account_limits.TooManyError as error:
            return limit_reached(error)
        except (FullError, quotas.QuotaError, BatchClosedError) as error:
            answer = {"error": _text_of(error), "is_final": True}
            return JsonResponse(answer, status=422)
        except ZipFileError as error:
            return JsonResponse({"error": str(error)}, status=422)
        except OSError as error:
            texts = refusal_to_store(error).messages
            return JsonResponse({"error": " ".join(map(str, texts))}, status=503)
        return JsonResponse(self._answer(received), status=201)

    def _answer(self, received: Received) -> dict[str, Any]:
        keys = [item.pk for item in received.items]
        items = BatchItem.objects.own_of(self.request.user).filter(pk__in=keys)
        rows = self.table(items.order_by("position"))
        html = render_to_string("diagnosis/_batch_rows.html", {"rows": rows}, self.request)
        return {
            "rows": html,
            "is_known": bool(keys) and not received.new,
            "problems": received.problems,
        }


class KnownFilesView(OwnBatchMixin, View):
    """The SHA-256 of the files that have arrived, so that only the others are sent."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        self.own_batch(pk)
        known = receiving.known_hashes(doctor=request.user, batch_id=pk)  # type: ignore[arg-type]
        return JsonResponse({"sha256": known})


class FinishSendingView(OwnBatchMixin, View):
    """Say that everything has been sent: names in CSV files can be compared with all files now."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        batch = self.own_batch(pk)
        with suppress(BatchClosedError):
            receiving.finish_sending(doctor=request.user, batch_id=pk)  # type: ignore[arg-type]
        return rows_response(request, batch, [])


def _text_of(error: Exception) -> str:
    if isinstance(error, BatchClosedError):
        return _("This batch was cancelled. Begin another one.")
    return str(error)
