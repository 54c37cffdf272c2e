"""What several processes on one PostgreSQL count about each other, for Prometheus (H9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub.runtime.fleet import Fleet
from hub.store.cluster import Peer

__all__ = ["fleet_figures"]

_ROLES = ("all", "web", "worker")


def fleet_figures(
    fleet: Fleet, projects: Sequence[tuple[str, Sequence[str]]], peers: Sequence[Peer] | None
) -> Iterator[Metric]:
    """Who lives and who leads what, as ``peers`` say, the same in every process; then what this one knows of itself.

    ``projects``: each with the names of its connections. ``peers``: None while the database is away, and nobody knows.
    """
    if peers is not None:
        yield from _others([name for name, _ in projects], peers)
    yield from _own(fleet)
    yield from _copies(fleet, projects)


def _others(projects: Sequence[str], peers: Sequence[Peer]) -> Iterator[Metric]:
    roles = Counter(peer.role for peer in peers)
    live = GaugeMetricFamily(
        "hub_processes", "Processes of this hub that live, by what they do, in processes", labels=("role",)
    )
    for role in _ROLES:
        live.add_metric((role,), roles[role])
    yield live
    leaders = Counter(project for peer in peers for project in peer.owns)
    led = GaugeMetricFamily(
        "hub_project_leaders",
        "Workers that decide and write for the project, in processes; should be 1",
        labels=("project",),
    )
    for project in projects:
        led.add_metric((project,), leaders[project])
    yield led


def _own(fleet: Fleet) -> Iterator[Metric]:
    figures = fleet.placement.figures
    leads = GaugeMetricFamily(
        "hub_project_leads", "Projects that this worker decides and writes for, 1 for each", labels=("project",)
    )
    for project in sorted(fleet.placement.own):
        leads.add_metric((project,), 1)
    yield leads
    moved = CounterMetricFamily(
        "hub_projects_moved", "Projects that this worker gained, gave back or lost, in projects", labels=("way",)
    )
    for way in ("gained", "given", "lost"):
        moved.add_metric((way,), figures.moved[way])
    yield moved
    yield CounterMetricFamily(
        "hub_tenures_lost",
        "How often this worker lost the connection that is its right to write, in losses",
        value=figures.tenures_lost,
    )
    yield CounterMetricFamily(
        "hub_processes_cut_off",
        "Silent workers whose work this one let others take over, in processes",
        value=figures.cut_off,
    )


def _copies(fleet: Fleet, projects: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "hub_directory_first_copy",
        "Whether this process has had all records once since it started, 1 for yes and 0 for no",
        value=float(fleet.copies.is_complete),
    )
    age = GaugeMetricFamily(
        "hub_directory_copy_age_seconds",
        "How long ago this process had all that was told of the account's records, in seconds",
        labels=("project", "connection"),
    )
    for project, connections in projects:
        for connection in connections:
            known = fleet.copies.age((project, connection))
            if known is not None:
                age.add_metric((project, connection), known)
    yield age
