"""Pictures of people: checked, drawn anew, square and small; nothing else of the file is kept."""

import io
import warnings

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageOps, UnidentifiedImageError

from accounts import audit
from accounts.models import User

SIDE = 256
MAX_BYTES = 5 * 2**20
MAX_PIXELS = 25_000_000
MIN_SIDE = 32
FORMATS = ("JPEG", "PNG", "WEBP")


class AvatarError(ValueError):
    """The file is no picture that can be used; `message` says why, to whoever chose it."""

    def __init__(self, message: str | Promise) -> None:
        super().__init__(message)
        self.message = message


def reencode(data: bytes) -> bytes:
    """Returns the middle square of a picture as a WebP file of 256×256 pixels, without metadata.

    Raises:
        AvatarError: if it is no JPEG, PNG or WebP file of one picture, damaged, too large or small.
    """
    if len(data) > MAX_BYTES:
        raise AvatarError(_("The picture is larger than 5 MB. Choose a smaller one."))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                _check(picture)
                upright = ImageOps.exif_transpose(picture).convert("RGB")
    except UnidentifiedImageError:
        raise AvatarError(_("This is no JPEG, PNG or WebP picture.")) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise AvatarError(_("The picture has too many pixels. Choose a smaller one.")) from None
    except AvatarError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError):
        raise AvatarError(_("The picture is damaged. Choose another.")) from None
    square = ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.LANCZOS)
    # Pixels alone, so that no profile or comment of the file comes along.
    clean = Image.frombytes("RGB", square.size, square.tobytes())
    out = io.BytesIO()
    clean.save(out, "WEBP", quality=85, method=4)
    return out.getvalue()


def _check(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise AvatarError(_("The picture has too many pixels. Choose a smaller one."))
    if min(width, height) < MIN_SIDE:
        raise AvatarError(_("The picture is too small: at least 32 pixels a side are needed."))
    if getattr(picture, "n_frames", 1) > 1:
        raise AvatarError(_("The picture moves. Choose a still one."))


def change_avatar(*, user: User, data: bytes) -> None:
    """Gives the account a picture in place of the one it has.

    Raises:
        AvatarError: if the file cannot be used; nothing is changed then.
    """
    picture = reencode(data)
    field = User._meta.get_field("avatar")
    stored = field.storage.save(field.generate_filename(user, ""), ContentFile(picture))
    try:
        _replace(user, stored)
    except BaseException:
        field.storage.delete(stored)
        raise


def remove_avatar(*, user: User) -> None:
    """Takes the account's picture away; without one there is nothing to do."""
    if user.avatar:
        _replace(user, "")


@transaction.atomic
def _replace(user: User, name: str) -> None:
    old = User.objects.select_for_update().get(pk=user.pk).avatar.name
    User.objects.filter(pk=user.pk).update(avatar=name)
    user.avatar.name = name
    audit.record_change(
        user, what="picture-changed", changes={"avatar": [str(bool(old)), str(bool(name))]}
    )
    if old:
        transaction.on_commit(lambda: user.avatar.storage.delete(old))
