"""Profile pictures: validated, cropped to a square and re-encoded without metadata."""

from django.core.files.base import ContentFile
from django.db import transaction

from accounts.audit import recording
from accounts.models import User
from xraysite.common import images

SIDE = 256
MAX_BYTES = 5 * 2**20
MAX_PIXELS = 25_000_000
MIN_SIDE = 32


def reencode(data: bytes) -> bytes:
    """Return the central square of an image as a 256×256 WebP file without metadata.

    Raises:
        xraysite.common.images.PictureError: the file cannot be used.
    """
    return images.encode(
        images.decode(
            data, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS, min_side=MIN_SIDE, square=SIDE
        )
    )


def change_avatar(*, user: User, data: bytes) -> None:
    """Set or replace the account's profile picture.

    Raises:
        xraysite.common.images.PictureError: the file cannot be used; nothing changes.
    """
    picture = reencode(data)
    field = User._meta.get_field("avatar")
    # On an error the file stays, since the row may refer to it all the same: the connection may
    # break during the commit. `fsck --repair` removes files that no account refers to.
    _replace(user, field.storage.save(field.generate_filename(user, ""), ContentFile(picture)))


def remove_avatar(*, user: User) -> None:
    """Remove the account's profile picture, if it has one."""
    if user.avatar:
        _replace(user, "")


@transaction.atomic
def _replace(user: User, name: str) -> None:
    old = User.objects.select_for_update().get(pk=user.pk).avatar.name
    User.objects.filter(pk=user.pk).update(avatar=name)
    user.avatar.name = name
    recording.record_change(
        user, what="picture-changed", changes={"avatar": [str(bool(old)), str(bool(name))]}
    )
    if old:
        transaction.on_commit(lambda: user.avatar.storage.delete(old))
