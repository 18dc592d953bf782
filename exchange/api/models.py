"""What the API remembers of uploads, so that a repeated one is recognised."""

from typing import Any, ClassVar

from django.db import models


class UploadKey(models.Model):
    """What was sent with an idempotency key.

    Attributes:
        id: the id of the reading that the key of this account leads to.
        content: a keyed hash of the film and of what was stated about its patient.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    content = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions: ClassVar[Any] = ()

    def __str__(self) -> str:
        return str(self.pk)


class DeviceBatch(models.Model):
    """A batch that takes the files which a device sends on a day."""

    token = models.ForeignKey("tokens.ApiToken", on_delete=models.CASCADE, related_name="+")
    batch = models.ForeignKey("diagnosis.Batch", on_delete=models.CASCADE, related_name="+")
    day = models.DateField()

    class Meta:
        default_permissions: ClassVar[Any] = ()
        ordering: ClassVar[list[Any]] = ["pk"]

    def __str__(self) -> str:
        return f"{self.token_id} {self.day}"
