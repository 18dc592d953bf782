"""A database backend: Django's for SQLite, with files that other users cannot read."""
