"""Background tasks: what is slow runs in a worker instead of in a request.

`tasks` defines and enqueues them, `workers` notices workers that died, `queue` shows the queue, and
`mails` keeps emails until a task has sent them. See docs/decisions/0046.
"""
