"""Watched folders: machines that only export files put them where `manage.py watch` finds them.

`folders` finds finished files and moves them, `taking` stores them once and says what became of
them, `watcher` does both again and again.
"""
