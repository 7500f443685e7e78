"""Asks Spark 4 what DuckDB was asked, over a data set of ducklens export, and compares every number.

    python spark.py WORK

WORK/data is the data set and
WORK/cases.json a list of {"name", "sql": FILE, "text": SQL or "view": NAME, "args": {}, "expected": PARQUET, "run": KEY,
"run_id": NUMBER, "tolerance"}. Prints a list of what was found, as JSON.
"""
import datetime
import json
import math
import re
import sys

from pyspark.sql import Row, SparkSession


def session():
    spark = (SparkSession.builder.master('local[2]').config('spark.ui.enabled', 'false').config('spark.sql.shuffle.partitions', '1')
             .config('spark.sql.adaptive.enabled', 'false').config('spark.sql.codegen.wholeStage', 'false')
             .config('spark.sql.session.timeZone', 'UTC').config('spark.driver.memory', '2g').config('spark.driver.extraJavaOptions', '-XX:+UseSerialGC')
             .config('spark.sql.legacy.parquet.nanosAsLong', 'false').getOrCreate())
    spark.sparkContext.setLogLevel('OFF')
    return spark


def statements(text):
    text = re.sub(r'(?m)^--.*\n', '', text)
    return [s for s in text.split(';\n') if s.strip()]


def plain(value, runs):
    """A value in a form that both engines have: numbers of the file in place of keys."""
    if isinstance(value, Row):
        if set(value.asDict()) == {'run', 'number'}:
            return value['number']
        return plain(value.asDict(), runs)
    if isinstance(value, (list, tuple)):
        return tuple(plain(v, runs) for v in value)
    if isinstance(value, dict):
        return tuple((k, plain(value[k], runs)) for k in sorted(value))
    if isinstance(value, str) and value in runs:
        return runs[value]
    if isinstance(value, bool) or value is None or isinstance(value, (str, bytes, datetime.datetime)):
        return value
    return float(value)


def order(fractions):
    """A key to sort rows by: what is no fraction first, so that rounding moves none."""
    def fine(v):
        if isinstance(v, tuple):
            return str([f'{x:.3g}' if isinstance(x, float) else x for x in v])
        return f'{v:+.4e}' if isinstance(v, float) else str(v)

    def key(row):
        return [str(v) for v, f in zip(row, fractions) if not f], [fine(v) for v, f in zip(row, fractions) if f]
    return key


def distance(a, b):
    """How far two values are apart, in proportion to them; infinite where they are of other kinds."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return max((distance(x, y) for x, y in zip(a, b)), default=0.0)
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) and math.isnan(b) or a == b:
            return 0.0
        return abs(a - b) / max(1.0, abs(a), abs(b))
    return 0.0 if a == b else math.inf


def compare(got, want, fractions):
    if fractions:
        got, want = sorted(got, key=order(fractions)), sorted(want, key=order(fractions))
    worst, where, numbers = 0.0, None, 0
    for g, w in zip(got, want):
        for a, b in zip(g, w):
            numbers += len(b) if isinstance(b, tuple) else isinstance(b, float)
            if (d := distance(a, b)) > worst:
                worst, where = d, (str(g)[:400], str(w)[:400])
    return worst, where, numbers


def main():
    work = sys.argv[1]
    spark = session()
    spark.sql(f'SET ducklens.path = {work}/data')
    found = {'spark': spark.version, 'made': 0, 'cases': []}
    for s in statements(open(work + '/data/spark/views.sql').read()):
        spark.sql(s)
        found['made'] += 1
    for case in json.load(open(work + '/cases.json')):
        result = {'name': case['name']}
        found['cases'].append(result)
        try:
            runs = {case['run']: float(case['run_id'])}
            want = spark.read.parquet(case['expected'])
            got = spark.table(case['view']) if case['view'] else spark.sql(case['text'] or open(case['sql']).read(), args=case['args'] or {})
            if 'run_id' in got.columns:  # views, and one question, have the runs of all files
                got = got.where(got['run_id'] == case['run'])
            result['columns'] = got.columns == want.columns
            kinds = [kind for _, kind in got.dtypes]
            fractions = [kind.startswith(('float', 'double', 'array', 'decimal')) for kind in kinds]
            got = [[plain(v, runs) for v in row] for row in got.collect()]
            # ducklens writes lists and structs as JSON text.
            want = [[plain(json.loads(v) if isinstance(v, str) and kind.startswith(('array', 'struct')) else v, {}) for v, kind in zip(row, kinds)]
                    for row in want.collect()]
            result['got'], result['want'] = len(got), len(want)
            worst, where, result['numbers'] = compare(got, want, fractions)
            result['worst'] = worst if math.isfinite(worst) else 1e300
            if worst > 1e-9:
                result['where'] = where
            if not case['view'] and len(got) == len(want):
                result['ordered'] = compare(got, want, None)[0] < 1e300
        except Exception as e:  # the rest is worth knowing too
            result['error'] = f'{type(e).__name__}: {str(e)[:1500]}'
        print(json.dumps(result)[:300], file=sys.stderr, flush=True)
    found['comment'] = [r.comment for r in spark.sql('DESCRIBE TABLE head_score').collect() if r.col_name == 'score']
    print(json.dumps(found))


main()
