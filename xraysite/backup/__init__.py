"""Backup of a whole site into a folder, and restoring it.

A backup folder holds the backups of one site:

    objects/ab/abcd…        each file once, under its SHA-256 (with ".age" if encrypted)
    backups/TIME.jsonl      a manifest: one line about the backup, one for each file, and a seal
    backups/TIME.jsonl.sha256

The database is dumped first. A film is stored before its row is committed, so the films copied
afterwards contain that of every reading in the dump.
"""
