"""Many files in one run, on this machine or on a Ray cluster.

A `Job` is one video to make. A `Maker` makes it: the verbs of the command line are one. `perform`
does one job, recognises what is done by digest, and turns what goes wrong into a `Result`;
`run_jobs` does many, here or on a cluster. Nothing here imports Ray until a cluster is named.
"""

from talkers.jobs.contract import Job, Made, Maker, Result
from talkers.jobs.run import Tally, run_jobs

__all__ = ["Job", "Made", "Maker", "Result", "Tally", "run_jobs"]
