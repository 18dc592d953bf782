"""The discussion board with few posts and with many.

    .venv/bin/python benchmarks/bench_forum.py [--sizes 100 100000] [--repeats N] [--json F]

For each size, creates a temporary SQLite database, fills it with posts in Chinese and English, and
requests each page as a browser would. `--database URL` uses an empty PostgreSQL database instead
and allows one size only.
"""

import random
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measuring import milliseconds  # noqa: E402
from sites import compare  # noqa: E402

SEED = 5
PEOPLE = 200
LONG_TOPIC = 0.05  # of all posts are in one topic
POSTS_A_TOPIC = 10
WORDS = [
    "film", "fever", "infiltrate", "opacity", "lobe", "lower", "upper", "right", "left", "child",
    "cough", "effusion", "normal", "viral", "bacterial", "repeat", "lateral", "view", "please",
    "read", "again", "agree", "disagree", "model", "answer", "pneumonia",
]  # fmt: skip
CHINESE = (
    "右下肺浸潤左上葉實質化發燒兩天咳嗽胸水積液心臟影變大氣胸肋骨角模糊請問大家怎麼看模型說是"
    "肺炎我覺得正常需要再照一張側位片吸氣不足病毒細菌感染追蹤看看謝謝學長姐指教"
)


def sentence(rng: random.Random) -> str:
    start = rng.randrange(len(CHINESE) - 12)
    chinese = CHINESE[start : start + rng.randint(4, 12)]
    return f"{chinese}，{' '.join(rng.choices(WORDS, k=rng.randint(3, 12)))}。"


def make_people() -> list[Any]:
    """Return the accounts; the first two can sign in and write."""
    from accounts import roles, services
    from accounts.models import User

    able = [
        services.create_account(
            email=f"doctor-{n}@example.org", display_name=f"Doctor {n}", password="x" * 20,
            role=roles.DOCTOR, hospital="Hospital",
        )
        for n in range(2)
    ]  # fmt: skip
    # Password hashing is slow by design, so one hash is reused.
    others = [
        User(email=f"doctor-{n}@example.org", display_name=f"Doctor {n}", hospital="Hospital",
             approval=User.Approval.APPROVED)
        for n in range(2, PEOPLE)
    ]  # fmt: skip
    return able + User.objects.bulk_create(others)


def fill(count: int, people: list[Any]) -> None:
    """Write `count` posts: one long topic, and many topics of about ten posts each."""
    from forum import search
    from forum.models import Category, Post, Topic

    rng = random.Random(SEED)  # noqa: S311
    categories = list(Category.objects.all())
    long_one = max(1, int(count * LONG_TOPIC))
    sizes = [long_one]
    while sum(sizes) < count:
        sizes.append(min(count - sum(sizes), rng.randint(1, 2 * POSTS_A_TOPIC - 1)))
    now = datetime.now(UTC)
    topics = Topic.objects.bulk_create(
        [
            Topic(
                category=rng.choice(categories), title=sentence(rng)[:150],
                author=rng.choice(people),
                last_author=rng.choice(people), post_count=size,
                last_activity_at=now - timedelta(minutes=rng.randint(1, 500_000)),
                is_pinned=n < 3, hidden_at=now if rng.random() < 0.01 and n else None,
            )
            for n, size in enumerate(sizes)
        ],
        batch_size=5000,
    )  # fmt: skip
    batch: list[Any] = []
    for topic in topics:
        for number in range(1, topic.post_count + 1):
            body = "\n\n".join(sentence(rng) for _ in range(rng.randint(1, 6)))
            batch.append(
                Post(topic=topic, number=number, author=rng.choice(people), body=body,
                     submission=uuid.UUID(int=rng.getrandbits(128)))
            )  # fmt: skip
            if len(batch) == 5000:
                _write(batch)
                batch = []
    _write(batch)
    unicorn = Post.objects.order_by("pk")[count // 2]
    Post.objects.filter(pk=unicorn.pk).update(body="獨角獸 unicorn")
    search.forget([unicorn.pk])
    search.put([(unicorn.pk, "獨角獸 unicorn")])


def _write(batch: list[Any]) -> None:
    from forum import search
    from forum.models import Post

    made = Post.objects.bulk_create(batch)
    search.put([(post.pk, search.text_of(post, title=post.topic.title)) for post in made])


def pages(count: int) -> dict[str, str]:
    from forum.models import Category, Topic
    from xraysite.common.paging import BOUND

    topic = Topic.objects.order_by("-post_count").first()
    assert topic is not None  # noqa: S101
    last = -(-topic.post_count // 20)
    topics = Topic.objects.filter(hidden_at=None).count()
    category = Category.objects.order_by("pk")[1].pk
    return {
        "list": "/forum/",
        "list, last page": f"/forum/?page={min(topics, BOUND) // 25 or 1}",
        "list, a category": f"/forum/?category={category}",
        "list, unread": "/forum/?show=unread",
        "list, own": "/forum/?show=own",
        "search: two characters": "/forum/?q=浸潤",
        "search: one character": "/forum/?q=肺",
        "search: a common word": "/forum/?q=pneumonia",
        "search: three words": "/forum/?q=pneumonia fever 肋骨",
        "search: beginning of words": "/forum/?q=p",
        "search: one post of all": "/forum/?q=獨角獸",
        "search: nothing": "/forum/?q=沒有這個",
        "search in a category": f"/forum/?q=浸潤&category={category}",
        "longest topic, first page": f"/forum/{topic.pk}/",
        "longest topic, last page": f"/forum/{topic.pk}/?page={last}",
        "notifications": "/forum/notifications/",
    }


def measure(count: int, repeats: int, only: str) -> dict[str, Any]:
    from forum import services
    from forum.models import Topic
    from tests.conftest import signed_in

    people = make_people()
    fill(count, people)
    browser = signed_in(people[0])
    found: dict[str, Any] = {}
    for name, where in pages(count).items():
        if only not in name:
            continue

        def ask(where: str = where) -> None:
            if browser.get(where, follow=True).status_code != 200:
                raise SystemExit(f"{where} gave no page")

        found[name] = milliseconds(ask, repeats, warm_up=2)
        print(f"{count:>9,}  {name:<28}{found[name]['median']:>9.1f} ms", file=sys.stderr)
    topic = Topic.objects.order_by("-post_count").first()

    def write() -> None:
        assert topic is not None  # noqa: S101
        services.reply(
            author=people[1], topic=topic, body="肺浸潤 @Doctor 3", submission=uuid.uuid4()
        )

    found["a reply is stored"] = milliseconds(write, repeats, warm_up=2)
    return {"ms": found}


if __name__ == "__main__":
    compare(__file__, __doc__, sizes=[100, 100_000], repeats=15, what="posts", measure=measure)
