"""Every plot of a study as PNG and SVG; the same results give the same bytes."""

from __future__ import annotations

import io

import matplotlib
from matplotlib.figure import Figure

from dse.report.front_plot import front_plot
from dse.report.layers_plot import layers_plot
from dse.report.results import Results
from dse.study.folder import StudyFolder, write_atomically, write_bytes_atomically

PLOTS = {"pareto": front_plot, "layers": layers_plot}
PNG_DPI = 150
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
"""Nothing that changes with the day or matplotlib's version, no addresses in the page."""


def write_figures(folder: StudyFolder, results: Results) -> dict[str, str]:
    """Write each plot as .png and .svg; return the SVG texts by plot name."""
    texts = {}
    # Figures without pyplot leave no global state; the settings are matplotlib's own, whatever
    # the user's matplotlibrc says, and put back afterwards.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "dse"
        matplotlib.rcParams["text.parse_math"] = False  # a name may hold dollar signs
        for name, plot in PLOTS.items():
            figure = plot(results)
            texts[name] = svg_text(figure)
            write_atomically(folder.figure(name, "svg"), texts[name])
            write_bytes_atomically(folder.figure(name, "png"), png_bytes(figure))
    return texts


def svg_text(figure: Figure) -> str:
    """The figure as SVG with letters as paths, so that it looks alike everywhere."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    return buffer.getvalue().decode()


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()
