"""Second readings by a colleague, and arbiters."""

import django.core.validators
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0027_fill_batch_team'),
        ('mlcore', '0004_gate_overrides'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='reading',
            name='second_state',
            field=models.CharField(blank=True, choices=[('HELD', 'may be read by a second doctor once it is signed'), ('WAITS', 'waits for a second reading'), ('SPLIT', 'waits for an arbiter'), ('DONE', 'read by two doctors')], editable=False, max_length=5, null=True, verbose_name='second reading'),
        ),
        migrations.AddField(
            model_name='team',
            name='second_percent',
            field=models.PositiveSmallIntegerField(default=10, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='share of a random sample (percent)'),
        ),
        migrations.AddField(
            model_name='team',
            name='second_reading',
            field=models.CharField(blank=True, choices=[('ALL', 'All X-rays'), ('DISAGREEMENT', 'Those where doctor and model disagree'), ('SAMPLE', 'A random sample')], help_text="Which X-rays of the team another member reads too, once the first doctor has signed. Until then, members see neither opinion nor result of each other's X-rays. Where the two differ, an arbiter of the team decides. It applies to X-rays uploaded from now on.", max_length=12, verbose_name='second reading'),
        ),
        migrations.AlterField(
            model_name='opinion',
            name='stage',
            field=models.CharField(choices=[('FIRST', "First opinion, before the model's result"), ('SIGNED', 'Signed opinion'), ('ADDENDUM', 'Addendum'), ('SECOND', 'Second reading, independent of the first'), ('ARBITER', "Arbiter's decision")], max_length=8, verbose_name='stage'),
        ),
        migrations.AlterField(
            model_name='teammembership',
            name='role',
            field=models.CharField(choices=[('MEMBER', 'Member'), ('LEAD', 'Team lead'), ('ARBITER', 'Arbiter')], default='MEMBER', max_length=8, verbose_name='role'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True), ('second_state__isnull', False)), fields=['second_state', 'team', 'created_at', 'id', 'doctor', 'hidden_at'], name='reading_second'),
        ),
        migrations.AddConstraint(
            model_name='opinion',
            constraint=models.UniqueConstraint(condition=models.Q(('stage__in', ['SECOND', 'ARBITER'])), fields=('reading', 'stage'), name='opinion_second_once'),
        ),
    ]
