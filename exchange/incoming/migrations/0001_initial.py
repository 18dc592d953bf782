"""Machines, what arrived from them, and the rules that route it."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import exchange.incoming.models.peer
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('diagnosis', '0024_batch_source'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Listener',
            fields=[
                ('name', models.CharField(max_length=120, primary_key=True, serialize=False)),
                ('ae_title', models.CharField(max_length=16, verbose_name='AE title')),
                ('ports', models.CharField(max_length=40, verbose_name='ports')),
                ('associations', models.PositiveIntegerField(default=0, verbose_name='open associations')),
                ('received', models.PositiveBigIntegerField(default=0, verbose_name='X-rays received')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('seen_at', models.DateTimeField(db_index=True, verbose_name='last seen at')),
            ],
            options={
                'verbose_name': 'listener',
                'verbose_name_plural': 'listeners',
                'ordering': ['name'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Peer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ae_title', models.CharField(max_length=16, unique=True, validators=[exchange.incoming.models.peer.validate_ae_title], verbose_name='calling AE title')),
                ('description', models.CharField(blank=True, help_text='Such as “X-ray van 2”.', max_length=120, verbose_name='description')),
                ('networks', models.CharField(blank=True, help_text='IP addresses or networks that it connects from, such as 192.168.10.0/24. If empty, any: an AE title alone is no secret.', max_length=250, validators=[exchange.incoming.models.peer.validate_networks], verbose_name='addresses')),
                ('needs_tls', models.BooleanField(default=False, help_text='Refuse connections without TLS and a client certificate.', verbose_name='only with TLS')),
                ('certificate', models.CharField(blank=True, help_text='If empty, any certificate of the authority that the listener trusts.', max_length=95, validators=[exchange.incoming.models.peer.validate_fingerprint], verbose_name='SHA-256 of its certificate')),
                ('host', models.CharField(blank=True, help_text='If empty, the result is sent in the association that asked for it.', max_length=250, verbose_name='address for storage commitments')),
                ('port', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(65535)], verbose_name='port for storage commitments')),
                ('is_active', models.BooleanField(default=True, verbose_name='may send')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'machine that sends X-rays',
                'verbose_name_plural': 'machines that send X-rays',
                'ordering': ['ae_title'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Commitment',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('calling_ae', models.CharField(max_length=16, verbose_name='calling AE title')),
                ('transaction_uid', models.CharField(max_length=64, verbose_name='Transaction UID')),
                ('references', models.JSONField(default=list)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('sent_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'storage commitment',
                'verbose_name_plural': 'storage commitments',
                'ordering': ['-asked_at'],
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('sent_at', None)), fields=['due_at'], name='commitment_due')],
                'constraints': [models.UniqueConstraint(fields=('calling_ae', 'transaction_uid'), name='commitment_once')],
            },
        ),
        migrations.CreateModel(
            name='RoutingRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=10, help_text='The first rule that matches decides.', verbose_name='order')),
                ('name', models.CharField(max_length=80, unique=True, verbose_name='name')),
                ('is_active', models.BooleanField(default=True, verbose_name='in use')),
                ('calling_ae', models.CharField(blank=True, help_text='If empty, any. * stands for any characters; case does not matter.', max_length=40, verbose_name='calling AE title')),
                ('station', models.CharField(blank=True, help_text='If empty, any. * stands for any characters; case does not matter.', max_length=80, verbose_name='station name')),
                ('institution', models.CharField(blank=True, help_text='If empty, any. * stands for any characters; case does not matter.', max_length=120, verbose_name='institution')),
                ('modality', models.CharField(blank=True, help_text='If empty, any. * stands for any characters; case does not matter.', max_length=40, verbose_name='modality')),
                ('body_part', models.CharField(blank=True, help_text='If empty, any. * stands for any characters; case does not matter.', max_length=80, verbose_name='body part')),
                ('age_from', models.PositiveSmallIntegerField(blank=True, help_text='X-rays that state no age do not match a rule with an age.', null=True, validators=[django.core.validators.MaxValueValidator(130)], verbose_name='age from (years)')),
                ('age_to', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(130)], verbose_name='age to (years)')),
                ('action', models.CharField(choices=[('ROUTE', 'Send to the worklist of'), ('KEEP_OUT', 'Keep out')], default='ROUTE', max_length=8, verbose_name='action')),
                ('takes_unread', models.BooleanField(default=False, help_text='Lateral views and other body parts are otherwise kept out. With this, they reach the doctor without a result.', verbose_name='also X-rays that the model does not read')),
                ('reason', models.CharField(blank=True, help_text='Why they are kept out. Shown to supervisors.', max_length=200, verbose_name='reason')),
                ('doctor', models.ForeignKey(blank=True, help_text='If empty, the lead of the team, otherwise its first member.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='doctor')),
                ('team', models.ForeignKey(blank=True, help_text='Its members see the readings on their worklists, too.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='diagnosis.team', verbose_name='team')),
            ],
            options={
                'verbose_name': 'routing rule',
                'verbose_name_plural': 'routing rules',
                'ordering': ['position', 'id'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Arrival',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('calling_ae', models.CharField(max_length=16, verbose_name='calling AE title')),
                ('address', models.CharField(max_length=45, verbose_name='address')),
                ('sop_instance_uid', models.CharField(max_length=64, verbose_name='SOP Instance UID')),
                ('sop_class_uid', models.CharField(max_length=64, verbose_name='SOP Class UID')),
                ('study_uid', models.CharField(blank=True, max_length=64, verbose_name='Study Instance UID')),
                ('transfer_syntax', models.CharField(max_length=64, verbose_name='transfer syntax')),
                ('sha256', models.CharField(max_length=64)),
                ('pixels_sha256', models.CharField(blank=True, max_length=64)),
                ('size', models.PositiveIntegerField(verbose_name='file size (bytes)')),
                ('times', models.PositiveIntegerField(default=1, verbose_name='times sent')),
                ('state', models.CharField(choices=[('RECEIVED', 'Received'), ('ROUTED', 'With the doctor'), ('READ', 'Read'), ('WAITING', 'Needs a supervisor'), ('KEPT_OUT', 'Kept out')], default='RECEIVED', max_length=8, verbose_name='state')),
                ('is_stored', models.BooleanField(default=True)),
                ('stated', models.JSONField(blank=True, default=dict, editable=False)),
                ('reason', models.JSONField(blank=True, default=dict, editable=False)),
                ('committed_at', models.DateTimeField(null=True, verbose_name='confirmed to the machine at')),
                ('claimed_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('received_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='received at')),
                ('last_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='last sent at')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('doctor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='doctor')),
                ('item', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='arrival', to='diagnosis.batchitem')),
                ('reading', models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='arrival', to='diagnosis.reading')),
                ('team', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='diagnosis.team', verbose_name='team')),
                ('rule', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='incoming.routingrule', verbose_name='routing rule')),
            ],
            options={
                'verbose_name': 'X-ray from a machine',
                'verbose_name_plural': 'X-rays from machines',
                'ordering': ['-received_at', '-pk'],
                'default_permissions': (),
                'indexes': [models.Index(fields=['-received_at', '-id'], name='arrival_newest'), models.Index(fields=['state', '-received_at', '-id'], name='arrival_state')],
                'constraints': [models.UniqueConstraint(fields=('sop_instance_uid', 'sha256'), name='arrival_once')],
            },
        ),
    ]
