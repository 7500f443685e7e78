"""Why did this attention head attend there?

ducklens runs a transformer over prompts, splits every attention score of the heads that you name into exact
contributions, and writes them into one DuckDB file. This package calls the program of the same name:

    f = ducklens.ingest(model="gpt2", heads=["10.7"], out="run.duckdb")
    ducklens.capture(model, prompts, ["10.7"], "captured", tokenizer)   # a model of transformers, on a GPU
    f = ducklens.ingest(activations="captured", out="run.duckdb")
    f = ducklens.open("run.duckdb")     # later
    f.query("key_components")           # a saved query, as a DataFrame; help(f.query) lists them
    f.sql("FROM head_score LIMIT 5")    # your own SQL
    f.plot("key_components")            # a figure; .plotly() makes it a plotly one
    f.heads(); f.verify(); f.report()
"""

from ._capture import FAMILIES, capture
from ._file import Figure, File, Report, open
from ._ingest import ingest
from ._program import Error, Note, program, version

__all__ = [
    "Error",
    "FAMILIES",
    "Figure",
    "File",
    "Note",
    "Report",
    "capture",
    "ingest",
    "open",
    "program",
    "version",
]
