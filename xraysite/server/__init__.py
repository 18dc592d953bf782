"""The web server: gunicorn's processes, each with waitress inside.

waitress receives a request completely before a thread works on it, so clients that send slowly
hold a socket and never a thread. gunicorn starts, renews and reloads the processes.
"""
