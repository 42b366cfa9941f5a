"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from talkers.server.jobs import STATES, Job, Jobs


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter(
            "talkers_requests", "Answered requests.", ["path", "status"], registry=registry
        )
        self.sessions = Counter("talkers_sessions", "Live sessions begun.", registry=registry)
        self.open = Gauge("talkers_sessions_open", "Live sessions now.", registry=registry)
        self.delay = Histogram(
            "talkers_live_delay_seconds",
            "From the microphone's sound to the picture that is sent, over WebRTC.",
            buckets=(0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0),
            registry=registry,
        )
        self.jobs = Gauge("talkers_jobs", "Jobs by state, now.", ["state"], registry=registry)
        self.ended = Counter(
            "talkers_jobs_ended", "Jobs that ended.", ["kind", "state"], registry=registry
        )
        self.seconds = Counter(
            "talkers_video_seconds", "Seconds of video that jobs made.", registry=registry
        )

    def count_job(self, job: Job) -> None:
        """A job is done or has failed."""
        self.ended.labels(job.kind, job.state).inc()
        if job.state == "done":
            self.seconds.inc(job.seconds)

    def text(self, jobs: Jobs) -> bytes:
        """All of it."""
        for state in STATES:
            self.jobs.labels(state).set(jobs.count(state))
        return generate_latest(self._registry)
