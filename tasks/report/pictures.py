"""The pictures of a run, drawn once for the report and for the run's page in Prefect alike."""

from __future__ import annotations

from typing import NamedTuple

from tasks.report import charts, results, spaces
from tasks.report.course import Course

Named = list[tuple[str, str]]
"""What a picture is of (a metric, a layer) and its SVG."""


class Pictures(NamedTuple):
    """SVG by subject; `perplexity` is empty where it was not measured."""

    courses: Named
    perplexity: str
    norms: str
    use: str
    heat_maps: Named
    spectra: Named


def draw(course: Course) -> Pictures:
    """Everything that is drawn of a run's batches and layers."""
    points, kept = results.by_batch(course), results.retention(course)
    perplexities, spectra = results.perplexity_by_batch(course), spaces.spectrum_points(course)
    return Pictures(
        courses=[(metric, charts.course(points, metric, course.figure(metric))) for metric in course.metrics],
        perplexity=charts.line(perplexities, "perplexity", "held-out perplexity") if perplexities else "",
        norms=charts.line(results.norms(course), "norm", "‖Δ‖ / ‖W‖ in %", by="layer"),
        use=charts.line(spaces.null_space_use(course), "share", "‖P k‖² / ‖k‖² in %", by="layer"),
        heat_maps=[
            (m, charts.heat_map(kept, m, course.figure(m))) for m in dict.fromkeys(row["metric"] for row in kept)
        ],
        spectra=[
            (str(layer), charts.spectrum([row for row in spectra if row["layer"] == layer]))
            for layer in sorted({row["layer"] for row in spectra})
        ],
    )
