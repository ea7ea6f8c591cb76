"""Long work in processes of its own: it shows progress, can be cancelled, and outlives the page and the server.

A job is a folder; whoever opens the folder sees the job, whatever process started it::

    jobs/{id}/job.json        what to do, since when
    jobs/{id}/process.json    the process that does it
    jobs/{id}/progress.json   how far it is
    jobs/{id}/cancel          there once somebody asked to stop it
    jobs/{id}/result.json     the end: what came out, or
    jobs/{id}/error.json      what went wrong
    jobs/{id}/log.txt         what it printed

What a job does is a function ``f(study folder, arguments, report) -> JSON value``, named as ``package.module:function``
since it runs in another process. Its own writing must be safe to kill, as every step's is.
"""

from saebrain.jobs.job import Job, Status
from saebrain.jobs.queue import all_jobs, prune, running, start

__all__ = ["Job", "Status", "all_jobs", "prune", "running", "start"]
