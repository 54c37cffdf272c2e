"""What a worker serves: how it is, and its figures (H9)."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route

from hub.runtime.services import Services
from hub.web.headers import SecurityHeaders
from hub.web.health import healthz, readyz
from hub.web.metrics import Counts, metrics

__all__ = ["build_worker_app"]


def build_worker_app(services: Services) -> SecurityHeaders:
    """``/healthz``, ``/readyz``, ``/metrics``, and nothing else: vendors and people go to the web processes."""
    inner = Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)],
    )
    inner.state.services, inner.state.counts = services, Counts()
    return SecurityHeaders(inner, is_https=services.settings.public_url.startswith("https://"))
