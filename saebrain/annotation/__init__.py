"""Labels that people give: an insert-only log of events, the queues they work from, and what follows from the log.

Nothing in the log is ever changed; undo, skip and adjudication are events of their own, and the current state is derived.
SQLite in the study folder by default, PostgreSQL by URL; the code is the same.
"""
