"""Films in a bucket of an object store."""

from collections.abc import Iterator
from functools import partial

from django.core.files.base import ContentFile

from diagnosis.film_storage import StagedFile, StoredFile
from xraysite.common.object_storage import PrivateObjectStorage, disk_errors

# Not every object store can mark objects: an empty one with the same name below this folder does.
CONFIRMED = "confirmed"
ORIGINAL = "original/"


def _mark(name: str) -> str:
    return f"{CONFIRMED}/{name}"


class BucketFilmStorage(PrivateObjectStorage):
    """A `FilmStorage` in a bucket.

    Object stores replace an object as a whole and answer once it is durable, which is what
    `AtomicFileStorage` does on a disk.
    """

    def stage(self, name: str, content: bytes) -> StagedFile:
        """Keep the content: `place` sends it.

        An object under its name before the film is locked could be deleted by a purge that still
        holds the lock.
        """
        return StagedFile(
            place=partial(self.save, name, ContentFile(content)), discard=lambda: None
        )

    def folders(self, folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in self.listdir(folder)[0]]

    def files(self, folder: str) -> Iterator[StoredFile]:
        with disk_errors(folder):
            marked = {entry.key for entry in self._below(_mark(folder))}
            prefix = self._prefix(folder)
            for entry in self._below(folder):
                filename = entry.key.removeprefix(prefix)
                if "/" not in filename:
                    name = f"{folder}/{filename}"
                    is_confirmed = self._key(_mark(name)) in marked
                    written = entry.last_modified.timestamp()
                    yield StoredFile(name, entry.size, written, is_confirmed)

    def find(self, name: str) -> StoredFile | None:
        try:
            with disk_errors(name):
                found = self.bucket.Object(self._key(name))
                size, written = found.content_length, found.last_modified.timestamp()
        except FileNotFoundError:
            return None
        return StoredFile(name, size, written, self.exists(_mark(name)))

    def move(self, name: str, target: str) -> None:
        with disk_errors(name):
            source = {"Bucket": self.bucket_name, "Key": self._key(name)}
            # Durable at the target before the source goes.
            self.bucket.Object(self._key(target)).copy_from(CopySource=source)
            self.bucket.Object(self._key(name)).delete()

    def confirm(self, name: str) -> None:
        self.save(_mark(name), ContentFile(b""))

    def delete(self, name: str) -> None:
        """Delete a file and its mark.

        The mark goes first: a film without one is set aside after a crash, a mark without a film
        would raise a false alarm at the next upload of the same film.
        """
        if name.startswith(ORIGINAL):
            super().delete(_mark(name))
        super().delete(name)

    def remove_empty_folder(self, folder: str) -> None:
        """Do nothing: an object store has no folders."""
