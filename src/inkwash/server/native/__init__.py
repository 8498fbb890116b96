"""The service's own API under /api/v1."""

from inkwash.server.native import (
    enlarge,
    events,
    explain,
    jobs,
    layers,
    making,
    models,
    pictures,
    session,
    sweeps,
    system,
    words,
)

# events before jobs: /jobs/{job}/events is the longer path
ROUTERS = (
    session.router,
    events.router,
    jobs.router,
    pictures.router,
    making.router,
    models.router,
    sweeps.router,
    layers.router,
    enlarge.router,
    explain.router,
    words.router,
    system.router,
)
