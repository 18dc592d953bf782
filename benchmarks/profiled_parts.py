"""The parts of an upload that `profiled.py` times."""

# By part, what is timed, as `module:name`. A part that runs inside another counts for itself only.
PARTS = {
    "form: parsing the request": ["django.http.request:HttpRequest._load_post_and_files"],
    "decoder: sending, waiting, receiving": ["xraysite.common.decoders.pool:Pool.run"],
    "hash of the pixels": ["diagnosis.services.films:pixels_sha256"],
    "preprocessing": [
        "mlcore.engine.serving.pipeline:squash", "mlcore.engine.serving.pipeline:prepare",
    ],
    "networks": ["mlcore.engine.serving.runtime:Session.run"],
    "cause of a refusal": ["mlcore.inference:_cause"],
    "renderings": ["diagnosis.services.films:render_all"],
    "film storage: writing": ["diagnosis.storage:AtomicFileStorage.stage"],
    "film storage: fsync": ["os:fsync"],
    "database: SQL": ["django.db.backends.utils:CursorWrapper.execute"],
    "database: commits": ["django.db.backends.base.base:BaseDatabaseWrapper.commit"],
    "database: building queries and objects": [
        "django.db.models.sql.compiler:SQLCompiler.execute_sql",
        "django.db.models.sql.compiler:SQLInsertCompiler.execute_sql",
        "django.db.models.query:QuerySet._fetch_all",
        "django.db.models.query:QuerySet._filter_or_exclude",
    ],
    "audit row": ["auditlog.receivers:_create_log_entry"],
    "giving memory back": ["xraysite.common.decoders.turns:release_memory"],
}  # fmt: skip
REST = "Django: middleware, permissions, form, everything else"
