"""Rebuild the search index of the discussion board."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from forum import search
from forum.models import Post

BATCH = 1000


class Command(BaseCommand):
    help = (
        "Rebuild the search index of the discussion board, for example after restoring a database."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        search.clear()
        posts = Post.objects.standing().filter(topic__hidden_at__isnull=True)
        batch: list[tuple[int, str]] = []
        count = 0
        for post in posts.select_related("topic").order_by("pk").iterator(chunk_size=BATCH):
            batch.append((post.pk, search.text_of(post, title=post.topic.title)))
            count += 1
            if len(batch) == BATCH:
                search.put(batch)
                batch = []
        search.put(batch)
        self.stdout.write(f"{count} posts indexed.")
