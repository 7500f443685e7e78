"""Compares the file of captured activations with the file of the model itself, table by table.

python captured.py FAMILIES [NAME ...]: folders with model/, prompts.jsonl and golden.json, and the ducklens program in
$DUCKLENS_PROGRAM. It writes a line a comparison, and ends with 1 if one differs."""

import json
import os
import sys
import tempfile

import duckdb
import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ducklens  # noqa: E402
from ducklens._program import run  # noqa: E402

# What differs by its nature: who made a file and when, of which bytes, and numbers that only a model that runs has.
LEFT_OUT = {
    "model": {"sha256", "config_sha256", "key", "name"}, "run": {"key", "command_line", "prompt_source", "created_at", "prompts_sha256", "threads", "bos_policy", "options"},
    "component": {"key"}, "prompt": {"template", "prompt_order", "fields", "text"}, "prompt_token": {"token", "text"}, "edge": {"template", "fields"},
}
ONLY_RUNNING = {"W_EE", "W_EE0", "W_U[random]"}
# Of the largest number of a column. Of long prompts, transformers has the angles of rotations in float32: at position 300 a few 1e-5.
TOLERANCE = {"float32": 1e-5, "float64": 1e-6}
LONG, LONG_TOLERANCE = 200, 5e-5


class Wide(TorchFunctionMode):
    """Lifts the casts to float32 that a model makes whatever its type."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        widen = lambda x: torch.float64 if x is torch.float32 else x
        name = getattr(function, "__name__", "")
        if name == "float":
            return args[0].double()
        return function(*(widen(a) for a in args), **{k: widen(v) for k, v in (kwargs or {}).items()})


def rows(db, table, out):
    columns = [c for c, in db.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND schema_name = 'main' ORDER BY column_index", [table]).fetchall()]
    columns = [c for c in columns if c not in LEFT_OUT.get(table, set())]
    if not columns:
        return columns, []
    data = db.execute('SELECT %s FROM "%s"' % (", ".join('"%s"' % c for c in columns), table)).fetchall()
    return columns, data


def flat(value):
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from flat(v)
    else:
        yield value


def compare(a, b, tolerance):
    """The largest difference of numbers of two files, and what else is different."""
    worst, faults = (0.0, ""), []
    one, two = duckdb.connect(a, read_only=True), duckdb.connect(b, read_only=True)
    for table, in one.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
        columns, left = rows(one, table, None)
        _, right = rows(two, table, None)
        if "vector" in columns and table in ("substitution",):
            at = columns.index("vector")
            left, right = ([r for r in x if r[at] not in ONLY_RUNNING] for x in (left, right))
        if len(left) != len(right):
            faults.append(f"{table}: {len(left)} and {len(right)} rows")
            continue
        for column in range(len(columns)):
            x, y = list(flat([r[column] for r in left])), list(flat([r[column] for r in right]))
            numbers = [(p, q) for p, q in zip(x, y) if isinstance(p, float) and isinstance(q, float)]
            top = max([1.0] + [abs(p) for p, _ in numbers if p == p])
            if columns[column] in ("closure_residual", "max_closure_residual", "mean_closure_residual"):
                continue
            for p, q in zip(x, y):
                if isinstance(p, float) and isinstance(q, float):
                    if p != p and q != q or p == q:
                        continue
                    d = abs(p - q) / top
                    if not d <= worst[0]:
                        worst = (d, f"{table}.{columns[column]}")
                    if not d <= tolerance:
                        faults.append(f"{table}.{columns[column]}: {p} and {q}")
                        break
                elif p != q:
                    faults.append(f"{table}.{columns[column]}: {p!r} and {q!r}")
                    break
    return worst, faults


class Opened:
    """A model of transformers in one precision, with everything of that precision as long as it is open."""

    def __init__(self, path, dtype):
        self.path, self.dtype, self.wide = path, getattr(torch, dtype), Wide() if dtype == "float64" else None

    def __enter__(self):
        torch.set_default_dtype(self.dtype if self.dtype != torch.bfloat16 else torch.float32)
        if self.wide:
            self.wide.__enter__()
        model = AutoModelForCausalLM.from_pretrained(self.path, dtype=self.dtype)
        model.config._experts_implementation = "eager"  # torch's grouped product has no float64
        return model, AutoTokenizer.from_pretrained(self.path)

    def __exit__(self, *fault):
        if self.wide:
            self.wide.__exit__(*fault)
        torch.set_default_dtype(torch.float32)


def closure(file):
    run("verify", file)
    return duckdb.connect(file, read_only=True).execute("SELECT max_closure_residual FROM run").fetchone()[0]


def check(folder, dtype, processing, work):
    """A file of captured activations is the file of the model: in both forms, and of edges that rules have chosen from whole prompts."""
    with open(os.path.join(folder, "golden.json")) as f:
        golden = json.load(f)
    model_dir, prompts = os.path.join(folder, "model"), os.path.join(folder, "prompts.jsonl")
    bos = [] if golden["bos"] is not None else ["--bos", "off"]

    def ingest(file, *args):
        file = os.path.join(work, file)
        run("ingest", *args, "-o", file)
        return file

    own = ["--model", model_dir, "--head", ",".join(golden["heads"]), "--precision", dtype, "--processing", processing, *bos]
    native = ingest("native.duckdb", *own, "--prompts", prompts)
    lines = [json.loads(line) for line in open(prompts)]
    db = duckdb.connect(native, read_only=True)
    for i, line in enumerate(lines):
        line["tokens"] = [t for t, in db.execute("SELECT token_id FROM token WHERE example_id = ? ORDER BY pos", [i]).fetchall()]
    db.close()
    # Whole prompts, of which rules choose edges: as good as the same whatever the precision.
    short = [line for line in lines if len(line["tokens"]) <= 40][:2] if (dtype, processing) == ("float64", "processed") else []
    rules = ["--edges", "top:1,previous,sample:3", "--max-edges", "6"]
    texts = os.path.join(work, "texts.jsonl")
    with open(texts, "w") as f:
        f.writelines(json.dumps({k: v for k, v in line.items() if k != "tokens"}) + "\n" for line in short)

    faults, worst, residual = [], (0.0, ""), 0.0
    long = dtype == "float32" and max(len(line["tokens"]) for line in lines) > LONG
    tolerance = LONG_TOLERANCE if long else TOLERANCE[dtype]
    with Opened(model_dir, dtype) as (model, tokenizer):
        for form in ("vectors", "parts"):
            keep = dict(processing=processing, bos=golden["bos"] is not None, form=form)
            ducklens.capture(model, [dict(line) for line in lines], golden["heads"], os.path.join(work, form), tokenizer, **keep)
            if short and form == "parts":
                bare = [{k: line[k] for k in ("text", "tokens")} for line in short]
                ducklens.capture(model, bare, golden["heads"], os.path.join(work, "whole"), tokenizer, positions="all", **keep)
    pairs = [(form, native, ingest(form + ".duckdb", "--activations", os.path.join(work, form))) for form in ("vectors", "parts")]
    if short:
        chosen = ingest("chosen.duckdb", *own, "--prompts", texts, *rules)
        pairs.append(("whole", chosen, ingest("whole.duckdb", "--activations", os.path.join(work, "whole"), *rules)))
    for what, one, two in pairs:
        residual = max(residual, closure(two))
        far, wrong = compare(one, two, tolerance)
        worst = max(worst, far)
        faults += [f"{what}: {w}" for w in wrong]
    return worst, residual, faults


def check_low(folder, work):
    """A model in bfloat16: what it rounds is a component, and sums are exact."""
    with open(os.path.join(folder, "golden.json")) as f:
        golden = json.load(f)
    lines = [json.loads(line) for line in open(os.path.join(folder, "prompts.jsonl"))]
    files = []
    with Opened(os.path.join(folder, "model"), "bfloat16") as (model, tokenizer):
        for form in ("vectors", "parts"):
            ducklens.capture(model, [dict(line) for line in lines], golden["heads"], os.path.join(work, form), tokenizer, processing="raw", form=form)
            files.append(os.path.join(work, form + ".duckdb"))
            run("ingest", "--activations", os.path.join(work, form), "-o", files[-1])
    rounding, = duckdb.connect(files[0], read_only=True).execute("SELECT count(*) FROM component WHERE kind = 'error' AND label LIKE 'rounding%'").fetchone()
    worst, faults = compare(*files, TOLERANCE["float32"])
    return max(closure(f) for f in files), faults + ([] if rounding > 0 else ["no rounding among the components"])


def main():
    families, names = sys.argv[1], sys.argv[2:]
    wrong = 0
    for name in names or sorted(n for n in os.listdir(families) if os.path.isdir(os.path.join(families, n, "model"))):
        for dtype, processing in (("float32", "raw"), ("float32", "processed"), ("float64", "raw"), ("float64", "processed")):
            with tempfile.TemporaryDirectory() as work:
                try:
                    worst, closure, faults = check(os.path.join(families, name), dtype, processing, work)
                except Exception as err:
                    if os.environ.get("DUCKLENS_TRACE"):
                        raise
                    worst, closure, faults = (float("nan"), ""), float("nan"), [f"{type(err).__name__}: {err}"]
            print(f"{name} {dtype} {processing}: largest difference {worst[0]:.1e} ({worst[1]}), closure {closure:.1e}", *faults[:6], sep="\n    ", flush=True)
            wrong += bool(faults)
        with tempfile.TemporaryDirectory() as work:
            try:
                closure, faults = check_low(os.path.join(families, name), work)
            except Exception as err:
                if os.environ.get("DUCKLENS_TRACE"):
                    raise
                closure, faults = float("nan"), [f"{type(err).__name__}: {err}"]
        print(f"{name} bfloat16 raw: closure {closure:.1e}", *faults, sep="\n    ", flush=True)
        wrong += bool(faults)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
