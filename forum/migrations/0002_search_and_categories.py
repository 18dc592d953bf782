"""The search index, and the initial categories."""

from django.db import migrations

from forum import search

CATEGORIES = [
    ("公告", "Announcements", "本站與各院的消息。", "News of this site and of the hospitals."),
    ("病例討論", "Cases", "去識別化的病例與影像。", "Cases and films without the patient's identity."),
    ("判讀與技術", "Reading and technique", "如何判讀、如何拍攝。", "How to read films and how to take them."),
    ("模型與本站", "The model and this site", "模型的判讀、問題與建議。", "The model's answers, problems and wishes."),
    ("閒聊", "Everything else", "其他話題。", "Whatever fits nowhere else."),
]


def add_categories(apps, schema_editor):
    category = apps.get_model("forum", "Category")
    for position, (zh, en, about_zh, about_en) in enumerate(CATEGORIES, start=1):
        category.objects.get_or_create(
            name_en=en,
            defaults={
                "name_zh_hant": zh,
                "about_zh_hant": about_zh,
                "about_en": about_en,
                "position": 10 * position,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("forum", "0001_initial")]

    operations = [
        migrations.RunPython(search.create_index, search.drop_index),
        migrations.RunPython(add_categories, migrations.RunPython.noop),
    ]
