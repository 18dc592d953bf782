"""Model cards for the staff: what each model is, learnt from, and can and cannot do."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from mlcore.cards import presentation
from mlcore.models import ModelVersion


@require_safe
def model_list(request: HttpRequest) -> HttpResponse:
    """Show the active model first, then the others, each with its main figures."""
    versions = ModelVersion.objects.filter(set_aside_reason="")
    shown = [
        {"version": found, "headline": presentation.headline(found.card)} for found in versions
    ]
    return render(request, "mlcore/model_list.html", {"shown": shown})


@require_safe
def model_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show a model's card; also of one that was set aside, for readings still name it."""
    version = get_object_or_404(ModelVersion, name=name)
    return render(request, "mlcore/model_detail.html", presentation.page(version))


@require_safe
def plot(request: HttpRequest, name: str, file: str) -> HttpResponse:
    """Answer with one of the plots that the model's card names, and with no other file."""
    version = get_object_or_404(ModelVersion, name=name)
    if file not in version.card.get("plots", []):
        raise Http404
    path = version.folder / file
    if not path.is_file():
        raise Http404
    return HttpResponse(path.read_bytes(), content_type="image/png")
