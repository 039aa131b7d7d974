"""The report of a study: tables, plots and page, read from its result files alone."""

from dse.report.boards import matrix
from dse.report.choices import recommendations
from dse.report.figures import write_figures
from dse.report.page import write_page
from dse.report.results import read_results
from dse.report.summary import SummaryRow, front_table, summary_rows
from dse.report.tables import pareto_frame, trials_frame, write_tables, write_tables_of
from dse.study.folder import StudyFolder

__all__ = [
    "SummaryRow",
    "front_table",
    "pareto_frame",
    "read_results",
    "recommendations",
    "summary_rows",
    "trials_frame",
    "write_report",
    "write_tables",
]


def write_report(folder: StudyFolder) -> None:
    """Write trials.csv, pareto.csv, the plots and report.html into the study's folder.

    Raises InputError when the folder is no study or a file in it is damaged.
    """
    results = read_results(folder)
    write_tables_of(folder, results)
    write_figures(folder, results)
    chosen = recommendations(results)
    write_page(folder, results, chosen, matrix(folder, results, chosen))
