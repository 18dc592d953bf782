"""Images in posts: validated, re-encoded and resized; no metadata is kept."""

import datetime
import uuid
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import account_limits
from forum.markdown import picture_ids
from forum.models import Picture, Post
from forum.querysets import TAKE_PART
from xraysite.common.images import PictureError, decode, encode

if TYPE_CHECKING:
    from accounts.models import User

MAX_SIDE = 1600
MAX_BYTES = 10 * 2**20
MAX_PIXELS = 40_000_000
MAX_WAITING = 20  # uploaded and not yet posted, per user
WAITING_TIME = datetime.timedelta(days=7)


def reencode(data: bytes, *, lossless: bool = False) -> tuple[bytes, int, int]:
    """Re-encode an image file as WebP, at most 1,600 pixels a side.

    Args:
        data: a JPEG, PNG or WebP file.
        lossless: whether to encode without loss (pixels change only by resizing).

    Returns:
        The WebP file, its width and its height in pixels.

    Raises:
        xraysite.common.images.PictureError: the file cannot be used.
    """
    picture = decode(data, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS, max_side=MAX_SIDE)
    return encode(picture, lossless=lossless), *picture.size


def add_picture(*, owner: "User", data: bytes, is_case: bool = False) -> Picture:
    """Store an image that its owner is about to post.

    Raises:
        PermissionDenied: the owner may not use the board.
        PictureError: the file cannot be used, or the owner has too many unposted images.
    """
    if not owner.has_perm(TAKE_PART):
        raise PermissionDenied
    waiting = Picture.objects.filter(owner=owner, post__isnull=True, withdrawn_at__isnull=True)
    if waiting.count() >= MAX_WAITING:
        raise PictureError(
            _(
                "You have too many unposted images. Post some of them first, or try "
                "again in a few days."
            )
        )
    try:
        with account_limits.counted(account_limits.PICTURE, owner):
            return _stored(owner, data, is_case=is_case)
    except account_limits.TooManyError as error:
        raise PictureError(str(error)) from error


def _stored(owner: "User", data: bytes, *, is_case: bool) -> Picture:
    # A shared case must look exactly like the preview that its doctor confirmed.
    content, width, height = reencode(data, lossless=is_case)
    picture = Picture(owner=owner, width=width, height=height, is_case=is_case)
    name = picture.file.storage.save(
        picture.file.field.generate_filename(picture, ""), ContentFile(content)
    )
    picture.file.name = name
    # On an error the file stays, since the row may exist all the same; `sweep` finds files without.
    picture.save(force_insert=True)
    return picture


def attach(post: Post) -> None:
    """Attach the images that the post's text shows, if its author uploaded them."""
    waiting = Picture.objects.attachable_by(post.author)
    waiting.filter(pk__in=picture_ids(post.body)).update(post=post)


def in_posts(posts: list[Post]) -> dict[int, dict[uuid.UUID, Picture]]:
    """Return the images of each post by post ID and image ID, including withdrawn ones."""
    found: dict[int, dict[uuid.UUID, Picture]] = {post.pk: {} for post in posts}
    for picture in Picture.objects.filter(post__in=posts):
        found[picture.post_id][picture.pk] = picture  # type: ignore[index]
    return found


@transaction.atomic
def withdraw(picture_id: uuid.UUID) -> bool:
    """Permanently remove an image's file; return False if it was already gone.

    The file is deleted when the transaction commits; `sweep` finds what a failure leaves behind.
    """
    picture = Picture.objects.select_for_update().filter(pk=picture_id).first()
    if picture is None or picture.withdrawn_at is not None:
        return False
    remove_files([picture])
    return True


def remove_files(pictures: list[Picture]) -> None:
    """Mark images as withdrawn and delete their files when the transaction commits."""
    now = timezone.now()
    for picture in pictures:
        name, storage = picture.file.name, picture.file.storage
        picture.withdrawn_at, picture.file.name = now, ""
        picture.save(update_fields=["withdrawn_at", "file"])
        if name:
            _delete_when_committed(storage, name)


def _delete_when_committed(storage: Storage, name: str) -> None:
    transaction.on_commit(lambda: storage.delete(name), robust=True)


def sweep() -> int:
    """Remove images not posted within `WAITING_TIME`, and files without a row.

    Returns:
        The number of images and files removed.
    """
    before = timezone.now() - WAITING_TIME
    old = Picture.objects.filter(post__isnull=True, created_at__lt=before)
    count = 0
    for picture in old.iterator():
        with transaction.atomic():
            remove_files([picture])
            picture.delete()
        count += 1
    return count + _sweep_files(before)


def _sweep_files(before: datetime.datetime) -> int:
    storage = Picture._meta.get_field("file").storage
    if not storage.exists("board"):
        return 0
    count = 0
    for filename in storage.listdir("board")[1]:
        name = f"board/{filename}"
        is_known = Picture.objects.filter(file=name).exists()
        if not is_known and storage.get_modified_time(name) < before:
            storage.delete(name)
            count += 1
    return count
