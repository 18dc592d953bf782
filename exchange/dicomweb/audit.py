"""The audit events of DICOMweb."""

from django.utils.translation import gettext_lazy as _

from accounts.audit import registry

LISTED, HEADER, FILM = "dicomweb-list", "dicomweb-header", "dicomweb-film"
RENDERED, THUMBNAIL = "dicomweb-rendered", "dicomweb-thumbnail"
STORED = "dicomweb-stored"
EVENTS = {
    LISTED: _("received a list of X-rays over DICOMweb"),
    HEADER: _("received the header of the X-ray over DICOMweb"),
    FILM: _("received the X-ray over DICOMweb"),
    RENDERED: _("viewed the X-ray over DICOMweb"),
    THUMBNAIL: _("viewed the thumbnail over DICOMweb"),
    STORED: _("sent X-rays over DICOMweb"),
}


def register() -> None:
    """Register the events of this app."""
    registry.register(EVENTS)
