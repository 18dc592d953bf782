"""How dates look, defined once for each language; see `FORMAT_MODULE_PATH`.

Tables have 2026-11-27: `SHORT_DATE_FORMAT` and `SHORT_DATETIME_FORMAT`. `DATE_FORMAT` is the same,
since the admin's tables use it for every date. Sentences have 27 November 2026: the filters
`long_date` and `long_datetime`, which are in `xraysite.common.dates` for Python code.
"""
