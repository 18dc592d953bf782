"""Decoding of untrusted image files in processes that may be killed.

`pool` starts the processes and passes files to them, `worker` is such a process, `turns` decides
whose file is decoded next.
"""
