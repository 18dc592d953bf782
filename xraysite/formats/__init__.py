"""How dates look, defined once for each language; see `FORMAT_MODULE_PATH`.

Django shows a date as `DATE_FORMAT` wherever no other format is named, the admin included, so that
one is the format of tables: 2026-11-27. Sentences use the template filters `long_date` and
`long_datetime`.
"""
