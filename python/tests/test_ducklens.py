"""Tests of the package with the program on the PATH; cli/python_test.go runs them."""

import inspect
import os
import pydoc
import re
import shutil
import signal
import tempfile
import threading
import unittest
import unittest.mock
import warnings

import duckdb
import pandas

import ducklens


class Capturing(unittest.TestCase):
    """What needs no torch; captured.py and bridge.py compare numbers."""

    def test_positions(self):
        from ducklens._capture import _batches, _head, _position

        texts = ["<s>", "Ada", " met", " Bo", " and", " Bo"]
        self.assertEqual([_position(0, role, " Bo".strip(), texts) for role in ("query", "key", "baseline")], [5, 3, 3])
        self.assertEqual([_position(0, "key", -1, texts), _position(0, "key", 2, texts)], [5, 2])
        for wrong in ("Cy", 6, -7):
            with self.assertRaises(ValueError):
                _position(0, "key", wrong, texts)
        self.assertEqual([_head(h, 12, 12) for h in ("10.7", "L10H7", (10, 7))], [(10, 7)] * 3)
        with self.assertRaises(ValueError):
            _head("12.0", 12, 12)
        lines = [{"tokens": [0] * n} for n in (3, 4, 3, 3)]
        self.assertEqual(list(_batches(lines, 2)), [[0, 2], [3], [1]])

    def test_misspelt_positions(self):
        from ducklens._capture import _Capture

        texts = ["<s>", " Ada", " met", " Bo"]
        good = {"query": -1, "key": 1, "baselines of mine": 2, "test": 3}
        self.assertEqual(_Capture.edges(None, 0, dict(good), texts), [{"query": 3, "key": 1}])
        self.assertEqual(_Capture.edges(None, 0, {"keys": 1, "queri": 2}, texts), [])
        for name in ("baselin", "Base line", "abseline"):
            with self.assertRaisesRegex(ValueError, "^prompt 0 has '%s' and no baseline: write baseline" % name):
                _Capture.edges(None, 0, {**good, name: 2}, texts)

    def test_head_names(self):
        from ducklens._program import head_names

        self.assertEqual(head_names([(10, 7), "L10H7"]), ["10.7", "L10H7"])
        self.assertEqual([head_names((10, 7)), head_names("all"), head_names(("1.0", "1.1"))], ["10.7", "all", ["1.0", "1.1"]])
        self.assertEqual(head_names(pandas.Series(["1.0"])), ["1.0"])

    def test_ingest_needs_out(self):
        with self.assertRaises(TypeError):
            ducklens.ingest(activations="captured")


class Asking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = os.path.join(cls.folder.name, "run.duckdb")
        cls.file = ducklens.ingest("demo", cls.path, heads=["3.1", "3.2"], number=12, progress=False)

    def test_query(self):
        by_name = self.file.query("key_components", head="3.1")
        self.assertTrue(by_name.equals(self.file.query.key_components(head="L3H1")))
        score = self.file.sql("SELECT avg(diff) AS diff FROM head_score WHERE head = $head", head="L3H1")["diff"][0]
        cells = by_name[by_name["panel"] == "baseline subtracted"]
        self.assertAlmostEqual(cells["mean"].sum(), score, places=4)

    def test_several_values(self):
        both = self.file.query("key_components", head=["3.1", "3.2"])
        self.assertEqual(set(both["asked_for"]), {"head 3.1", "head 3.2"})

    def test_heads_are_texts(self):
        self.assertEqual(set(self.file.sql("SELECT DISTINCT head FROM head_score")["head"]), {"L3H1", "L3H2"})
        self.assertEqual(set(self.file.heads(by="diff")["head"]), {"L3H1", "L3H2"})

    def test_help(self):
        self.assertIn("key_components", dir(self.file.query))
        self.assertIn("key_components", pydoc.render_doc(self.file.query))
        self.assertIn("only", inspect.signature(self.file.query.key_components).parameters)
        self.assertIn("target head", self.file.query.key_components.__doc__)

    def test_a_misspelt_query(self):
        with self.assertRaises(ducklens.Error) as called:
            self.file.query("key_componets")
        with self.assertRaisesRegex(AttributeError, "did you mean key_components") as named:
            self.file.query.key_componets()
        self.assertEqual(str(named.exception), str(called.exception))
        self.assertFalse(hasattr(self.file.query, "_repr_html_"))

    def test_columns_of_heads(self):
        self.assertEqual([c for c in self.file.query("top_heads") if c not in ("name", "measure", "heads")], list(self.file.heads()))
        for column in ("prob", "score", "diff"):
            self.assertIn("mean_" + column, ducklens.File.heads.__doc__)

    def test_errors_are_those_of_the_program(self):
        for ask, said in (
            (lambda: self.file.query("key_componets"), "did you mean key_components"),
            (lambda: self.file.query("key_components", haed="3.1"), "did you mean head"),
            (lambda: self.file.sql("SELEC 1"), "syntax error"),
            (lambda: self.file.sql("SELECT * FROM read_text('/etc/hostname')"), "read_text"),
            (lambda: self.file.plot("key_componets"), "key_componets"),
            (lambda: ducklens.open(self.path + "x"), "no such file"),
            (lambda: ducklens.ingest("demo", self.path, heads="3.1"), "exists"),
            (lambda: ducklens.ingest("demo", self.path + "y", heads="3.1", no_such_flag=1), "^unknown keyword argument no_such_flag\n.*ducklens ingest --help lists them$"),
            (lambda: ducklens.ingest("demo", self.path + "y", n=5), "^unknown keyword argument n\nhint: did you mean number[?]$"),
            (lambda: ducklens.ingest("demo", self.path + "y", key_bases="none"), "did you mean key_basis or query_basis[?]$"),
            (lambda: ducklens.ingest("demo", self.path + "y", hed="3.1"), "^unknown keyword argument hed\nhint: did you mean heads"),
            (lambda: self.file.plot("key_components", hed="3.1"), "^unknown keyword argument hed\nhint: did you mean head[?]$"),
            (lambda: self.file.heads(mst=3), "did you mean most[?]$"),
            (lambda: ducklens.ingest("demo", self.path + "y", heads="3.1", prompts=[{"text": "Ben"}]), "^prompt file <prompts>: line 1: no query"),
            (lambda: ducklens.open(self.path, labels=pandas.DataFrame({"kind": [1]})).heads(), "<labels>: line 1: no column text or example_id"),
        ):
            with self.assertRaisesRegex(ducklens.Error, said):
                ask()

    def test_other_types(self):
        for ask, said in (
            (lambda **out: ducklens.ingest(self, heads="3.1", **out), r"type Asking.*ducklens.capture"),
            (lambda **out: ducklens.ingest("demo", heads="3.1", prompts={"text": "Ben"}, **out), "prompts is of type dict"),
            (lambda **out: ducklens.ingest("demo", heads="3.1", prompts=3, **out), "prompts is of type int"),
            (lambda **out: ducklens.ingest("demo", heads="3.1", text=[{"text": "Ben", "x": self}], **out), "type Asking in a record"),
            (lambda **out: ducklens.ingest("demo", heads=3.1, **out), 'a head is 3.1 of type float, want text such as "10.7"'),
            (lambda **out: ducklens.ingest("demo", heads=["3.1", 3.2], **out), "a head is 3.2 of type float"),
            (lambda out: self.file.query("key_components", head=3.1), "a head is 3.1 of type float"),
            (lambda out: ducklens.open(self.path, labels=[1]), "labels is of type list"),
        ):
            with self.assertRaisesRegex(TypeError, said):
                ask(out=self.path + "y")

    def test_verify_lists_the_faults(self):
        broken = os.path.join(self.folder.name, "broken.duckdb")
        shutil.copy(self.path, broken)
        with duckdb.connect(broken) as db:
            db.execute("DELETE FROM contribution_wide WHERE example_id = 3")
        with self.assertRaisesRegex(ducklens.Error, r"(?s)schema version .*example.*problem"):
            ducklens.open(broken).verify()

    def test_a_program_that_does_not_start(self):
        script = os.path.join(self.folder.name, "program")
        with open(script, "w") as out:
            out.write("#!/bin/sh\necho cannot load a library >&2\nexit 127\n")
        os.chmod(script, 0o700)
        with unittest.mock.patch.dict(os.environ, DUCKLENS_PROGRAM=script), self.assertRaisesRegex(ducklens.Error, "^cannot load a library$"):
            ducklens.version()

    def test_notes_before_an_error(self):
        from ducklens._program import _told

        self.assertEqual(_told("note: removed x.new\nducklens: open x: no such file\nhint: see /tmp/1\n", {"/tmp/1": "<it>"}),
                         ("removed x.new", "open x: no such file\nhint: see <it>"))
        self.assertEqual(_told("note: one\nnote: two\n", {}), ("one\ntwo", ""))

    def test_figure(self):
        figure = self.file.plot("key_components", head="3.1", title="A title of mine")
        self.assertIn("A title of mine", figure._repr_svg_())
        self.assertEqual(repr(figure), "<figure of key_components>")
        self.assertIn("A title of mine", figure.plotly().layout.title.text)
        path = os.path.join(self.folder.name, "figure.png")
        figure.save(path)
        with open(path, "rb") as picture:
            self.assertEqual(picture.read(4), b"\x89PNG")
        drawn = self.file.plot(sql="SELECT score, prob FROM head_score WHERE head = $head", chart="scatter", head="L3H1")
        self.assertIn("<svg", drawn.svg)

    def test_report_and_verify(self):
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            self.assertIn("srcdoc", self.file.report()._repr_html_())
        self.assertTrue(all(issubclass(n.category, ducklens.Note) for n in notes), notes)
        self.assertTrue(all(n.filename == __file__ for n in notes), notes)
        self.assertIn("nothing wrong", self.file.verify())

    def test_labels(self):
        labels = pandas.DataFrame({"example_id": range(12), "kind": ["a", "b"] * 6})
        f = ducklens.open(self.path, labels=labels)
        n = f.sql("SELECT value, count(*) AS n FROM example_field WHERE name = 'kind' GROUP BY value ORDER BY value")
        self.assertEqual(list(n["n"]), [6, 6])


class Documentation(unittest.TestCase):
    def test_python_of_the_docs(self):
        with open(os.environ["DUCKLENS_DOCS"], encoding="utf-8") as text:
            code = "\n".join(re.findall(r"```python\n(.*?)```", text.read(), re.S))
        with tempfile.TemporaryDirectory() as folder:
            before = os.getcwd()
            os.chdir(folder)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ducklens.Note)
                    exec(compile(code, "python.md", "exec"), {})
                self.assertTrue(os.path.getsize("key_components.pdf") and os.path.getsize("report.html"))
            finally:
                os.chdir(before)


class Ingesting(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = os.path.join(folder.name, "run.duckdb")

    def test_prompts(self):
        records = [{"text": "When Ben and Tim went out, Ben met", "query": -1, "key": 2, "baseline": 4, "kind": "x"},
                   {"text": "When Ben and Tim went in, Ben met", "query": -1, "key": 2, "kind": "y"}]
        for prompts in (records, pandas.DataFrame(records)):
            with self.assertWarnsRegex(ducklens.Note, "example 1 has no baseline"):
                f = ducklens.ingest("demo", self.out, prompts=prompts, heads="3.1", force=True, progress=False)
            edges = f.sql("SELECT key_pos, baseline_pos, fields FROM edge JOIN prompt USING (run_id, prompt_id) ORDER BY example_id")
            self.assertEqual(list(edges["key_pos"]), [2, 2])
            self.assertTrue(pandas.isna(edges["baseline_pos"][1]))
            self.assertIn("x", edges["fields"][0])
            self.assertIn(f.info()[0]["prompt_source"], ("a list", "a DataFrame"))

    def test_heads_as_pairs(self):
        f = ducklens.ingest("demo", self.out, heads=[(3, 1), "L2H0"], number=2, progress=False)
        self.assertEqual(set(f.heads()["head"]), {"L3H1", "L2H0"})

    def test_interrupt(self):
        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with self.assertRaises(KeyboardInterrupt):
            ducklens.ingest("demo", self.out, heads="all", number=5000, progress=False)
        # The program has ended: the same file can be written at once.
        ducklens.ingest("demo", self.out, heads="3.1", number=2, force=True, progress=False)


if __name__ == "__main__":
    unittest.main()
