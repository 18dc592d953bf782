"""The model card pages."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from mlcore import registry
from mlcore.cards import presentation, transparency
from mlcore.cards.not_passed import not_passed
from mlcore.models import ModelVersion


@require_safe
def model_list(request: HttpRequest) -> HttpResponse:
    """List the models with their main figures, the active one first."""
    versions = ModelVersion.objects.filter(set_aside_reason="").prefetch_related("evaluations")
    shown = [
        {
            "version": found,
            "headline": presentation.headline(found),
            "sets": [entry for entry in presentation.evaluated(found) if entry.is_external],
            "not_passed": not_passed(found) if found.is_active else None,
        }
        for found in versions
    ]
    return render(request, "mlcore/model_list.html", {"shown": shown})


@require_safe
def model_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show a model's card, even of a model set aside: readings still refer to it."""
    version = get_object_or_404(ModelVersion, name=name)
    return render(request, "mlcore/model_detail.html", presentation.page(version))


@require_safe
def transparency_sheet(request: HttpRequest, name: str) -> HttpResponse:
    """Show a model's nine transparency indicators, to be printed."""
    version = get_object_or_404(ModelVersion, name=name)
    return render(request, "mlcore/transparency.html", transparency.sheet(version))


@require_safe
def plot(request: HttpRequest, name: str, file: str) -> HttpResponse:
    """Serve a plot listed on the model's card, and no other file."""
    version = get_object_or_404(ModelVersion, name=name)
    if file not in version.card.get("plots", []):
        raise Http404
    try:
        content = registry.file_of(version, file)
    except registry.ModelUnavailable:
        # Missing, or not the registered one: an old card never shows another model's plot.
        raise Http404 from None
    return HttpResponse(content, content_type="image/png")
