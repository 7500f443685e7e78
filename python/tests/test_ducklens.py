"""Tests of the package with the program on the PATH; cli/python_test.go runs them."""

import inspect
import os
import pydoc
import re
import signal
import tempfile
import threading
import unittest
import warnings

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

    def test_errors_are_those_of_the_program(self):
        for ask, said in (
            (lambda: self.file.query("key_componets"), "did you mean key_components"),
            (lambda: self.file.query("key_components", haed="3.1"), "did you mean head"),
            (lambda: self.file.sql("SELEC 1"), "syntax error"),
            (lambda: self.file.sql("SELECT * FROM read_text('/etc/hostname')"), "read_text"),
            (lambda: self.file.plot("key_componets"), "key_componets"),
            (lambda: ducklens.open(self.path + "x"), "no such file"),
            (lambda: ducklens.ingest("demo", self.path, heads="3.1"), "exists"),
            (lambda: ducklens.ingest("demo", self.path + "y", heads="3.1", no_such_flag=1), "no-such-flag"),
        ):
            with self.assertRaisesRegex(ducklens.Error, said):
                ask()

    def test_figure(self):
        figure = self.file.plot("key_components", head="3.1", title="A title of mine")
        self.assertIn("A title of mine", figure._repr_svg_())
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
