"""Profile pictures and images of the discussion board."""

import datetime
from collections.abc import Iterator

from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.models import User
from forum.models import Picture
from xraysite.fsck.findings import Finding, Run

# An image is stored before its row.
MIN_AGE = datetime.timedelta(days=1)
FOLDERS = ("avatars", "board")


def rows_have_images(run: Run) -> Iterator[Finding]:
    """Check that the image of every account and post exists."""
    for name in _known():
        run.checked["images"] += 1
        if not default_storage.exists(name):
            text = "The image is missing. Restore it from a backup, or upload it again."
            yield Finding("image-missing", name, text)
        elif default_storage.size(name) == 0:
            text = "The image is empty. Restore it from a backup, or upload it again."
            yield Finding("image-damaged", name, text)


def images_have_rows(run: Run) -> Iterator[Finding]:
    """Check for image files that no account and no post refers to."""
    known = set(_known())
    before = timezone.now() - MIN_AGE
    for folder in FOLDERS:
        if not default_storage.exists(folder):
            continue
        for filename in default_storage.listdir(folder)[1]:
            name = f"{folder}/{filename}"
            if name in known or default_storage.get_modified_time(name) > before:
                continue
            if run.repair:
                default_storage.delete(name)
            text = "No account and no post refers to the image; --repair removes it."
            yield Finding("image-without-row", name, text, run.repair)


def _known() -> Iterator[str]:
    yield from User.objects.exclude(avatar="").values_list("avatar", flat=True)
    yield from Picture.objects.exclude(file="").values_list("file", flat=True)
