"""Run files: queries, figures and reports."""

import html
import inspect
import json
import os
import shutil
import tempfile
import weakref
from functools import cached_property

from ._program import Error, flags, head_names, needs, run, words

_builtin_open = open


def open(path, labels=None):
    """Opens a run file for queries. The file is not kept open, so another program may write it.

    labels: a file, or a DataFrame with a column text or example_id, whose other columns appear in the view
    example_field. A query about an unfinished run, or a file of another release, raises an Error that says
    what to do."""
    return File(path, labels)


class File:
    """A run file. Made by ducklens.open or ducklens.ingest."""

    def __init__(self, path, labels=None):
        self.path = os.fspath(path)
        self._labels, self._names = [], {}
        if labels is not None:
            if not isinstance(labels, (str, os.PathLike)):
                labels = self._keep(labels)
            self._labels = ["--labels", os.fspath(labels)]
        self.info()  # raises an Error if something is wrong with the file

    def __repr__(self):
        return "ducklens.open(%r)" % self.path

    def _keep(self, labels):
        """Writes labels to a file that is removed with this object."""
        if not hasattr(labels, "to_csv"):
            raise TypeError("labels is of type %s, want a file or a DataFrame" % type(labels).__name__)
        folder = tempfile.mkdtemp(prefix="ducklens-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = os.path.join(folder, "labels.csv")
        labels.to_csv(path, index=False)
        self._names = {path: "<labels>"}
        return path

    def _ask(self, command, *args, **how):
        """Runs a command on the file."""
        return run(command, self.path, *args, *self._labels, names=self._names, **how)

    def sql(self, sql, **params):
        """The answer to SQL as a DataFrame. $name in the SQL is bound to the keyword argument of that
        name."""
        return self._frame("-e", "-", text=sql, params=params)

    @cached_property
    def query(self):
        """f.query(name, head="10.7") answers a saved query as a DataFrame; help(f.query) lists them.

        Each query is also an attribute, f.query.key_components(head="10.7"), whose parameters complete by
        name. For a list of values, such as head=["10.7", "11.10"], the query runs once for each; the column
        asked_for tells the answers apart."""
        return _queries(self)

    def plot(self, name=None, sql=None, **options):
        """The figure of a saved query, or of SQL with chart="scatter" and the like.

        Parameters of the query and flags of "ducklens plot" are keyword arguments: f.plot("key_components",
        head="10.7", theme="print", width="3.25in").
        """
        if (name is None) == (sql is None):
            raise TypeError("plot wants the name of a saved query or sql=, and not both")
        known = self.query._parameters(name) if name is not None and not name.endswith(".sql") else None
        params = {
            k: v
            for k, v in options.items()
            if known is None and k not in _figure_flags() or known is not None and k in known
        }
        rest = {k: v for k, v in options.items() if k not in params}
        return Figure(self, [name] if name else ["-e", sql], params, rest, known or ())

    def report(self, path=None, **options):
        """A page about the run: its results, closure, all figures and the prompts. It is written to path if
        given."""
        with tempfile.TemporaryDirectory(prefix="ducklens-") as folder:
            out = os.fspath(path) if path is not None else os.path.join(folder, "report.html")
            self._ask("report", "-o", out, *flags(options), said=out.__eq__)
            with _builtin_open(out, encoding="utf-8") as page:
                return Report(page.read())

    def heads(self, **options):
        """The heads of the last run as a DataFrame, ranked by their attention from query to key;
        by="diff_prob", most=5.

        The columns are those of the saved query top_heads. The table of ducklens heads in a terminal has
        shorter names for them: prob is mean_prob here, score is mean_score, diff is mean_diff. The column
        mean, with its se and n, repeats the measure that the heads are ranked by."""
        pandas = needs("pandas", "a DataFrame")
        return pandas.DataFrame(json.loads(self._ask("heads", "--format=json", *flags(options))))

    def verify(self):
        """Checks that the file is complete and its contributions add up. Returns the report, or raises an
        Error with the problems."""
        return run("verify", self.path).strip()

    def info(self):
        """The runs of the file and how they were made."""
        return json.loads(run("info", self.path, "--json"))

    def _frame(self, *what, text=None, params={}):
        needs("pandas", "a DataFrame")
        import duckdb

        with tempfile.TemporaryDirectory(prefix="ducklens-") as folder:
            out = os.path.join(folder, "answer.parquet")
            self._ask("query", *what, "-o", out, *_settings(params), text=text)
            with duckdb.connect() as db:
                return db.read_parquet(out).df()


class Figure:
    """A figure. A notebook shows it; save writes it in the format of the path's ending."""

    def __init__(self, file, what, params, options, known):
        self._file, self._what, self._params, self._options = file, what, params, options
        self._known = known
        self.svg = self._draw("svg")

    def __repr__(self):
        return "<figure of %s>" % (self._what[0] if len(self._what) == 1 else "SQL")

    def _repr_svg_(self):
        return self.svg

    def plotly(self):
        """The same as a plotly Figure."""
        needs("plotly", "plotly()")
        import plotly.io

        return plotly.io.from_json(self._draw("json"))

    def save(self, path):
        """Writes the figure: .svg, .png, .pdf, .html, .json (plotly) or .vl.json (Vega-Lite)."""
        path = os.fspath(path)
        self._file._ask(
            "plot",
            *self._what,
            "-o",
            path,
            *_settings(self._params),
            *flags(self._options),
            said=path.__eq__,
            keywords=self._known,
        )

    def _draw(self, form):
        with tempfile.TemporaryDirectory(prefix="ducklens-") as folder:
            path = os.path.join(folder, "figure." + form)
            self.save(path)
            with _builtin_open(path, encoding="utf-8") as figure:
                return figure.read()


class Report:
    """A page about a run. A notebook shows it in a frame."""

    def __init__(self, page):
        self.html = page

    def __repr__(self):
        return "<report, %d kB of HTML>" % (len(self.html) // 1000)

    def _repr_html_(self):
        return '<iframe srcdoc="%s" width="100%%" height="720" style="border:0"></iframe>' % html.escape(
            self.html, quote=True
        )


class _Queries:
    def __init__(self, file, saved):
        self._file, self._saved = file, saved

    def __call__(self, name, /, **params):
        return self._file._frame(name, params=params)

    def __getattr__(self, name):
        """Called for a name that is no query: the error is the one of the program, with its suggestion."""
        if not name.startswith("_"):  # those are asked for by notebooks and copy, and are no queries
            try:
                self._file._ask("query", name)
            except Error as unknown:
                raise AttributeError(str(unknown)) from None
        raise AttributeError("no saved query %s" % name)

    def __dir__(self):
        return sorted(self._saved)

    def _parameters(self, name):
        if name not in self._saved:
            raise Error("no saved query %s in %s; help(f.query) lists them" % (name, self._file.path))
        return {p["name"] for p in self._saved[name]["parameters"]}


def _queries(file):
    """An object with a method for each saved query: those that ship with ducklens, then those of the file."""
    saved = {}
    for where in ([file.path], []):
        saved.update({q["name"]: q for q in json.loads(run("queries", "list", *where, "--json"))})
    methods = {name: _method(q) for name, q in saved.items()}
    listed = "\n".join("%s\n    %s" % (name, q["title"]) for name, q in sorted(saved.items()))
    doc = "Saved queries: f.query(name, ...) or f.query.name(...) gives a DataFrame.\n\n" + listed
    return type("query", (_Queries,), {**methods, "__doc__": doc})(file, saved)


def _method(query):
    def ask(self, **params):
        return self(query["name"], **params)

    keyword = inspect.Parameter.KEYWORD_ONLY
    ask.__name__ = ask.__qualname__ = query["name"]
    ask.__signature__ = inspect.Signature(
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
        + [
            inspect.Parameter(
                p["name"], keyword, default=inspect.Parameter.empty if p["needed"] else p["default"]
            )
            for p in query["parameters"]
        ]
    )
    about = ["%s: %s" % (p["name"], p["about"] or p["type"]) for p in query["parameters"]]
    ask.__doc__ = "\n\n".join([query["title"], query["description"], "\n".join(about)])
    return ask


def _settings(params):
    return [
        word
        for name, value in params.items()
        if value is not None
        for word in ("--set", name + "=" + words(head_names(value) if name == "head" else value))
    ]


def _figure_flags():
    """The names of the flags of "ducklens plot" that say how to draw SQL."""
    help = run("plot", "--help")
    return {
        line.split()[0][2:].replace("-", "_") for line in help.splitlines() if line.strip().startswith("--")
    }
