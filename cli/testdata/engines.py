"""Reads a data set of two exports of ducklens with an engine that shares no code with it, and prints what it finds as JSON.

    python engines.py ENGINE DIR

ENGINE is duckdb, polars, pandas or pyarrow. For each table: the number of rows, their number by run, and the sum of each column of
numbers; then one question about all runs, and the comments that the metadata has.
"""
import glob
import json
import os
import sys

QUESTION = '''SELECT s.run AS run, s.head AS head, avg(w.total) AS mean, max(abs(w.total - s.score)) AS miss
FROM score AS s JOIN (
  SELECT c.run, c.head, c.example_id, sum(c.score_par_par + c.score_par_perp + c.score_perp_par + c.score_perp_perp) AS total
  FROM contribution_wide AS c JOIN basis AS q ON q.run = c.run AND q.basis_id = c.query_basis_id
    JOIN basis AS k ON k.run = c.run AND k.basis_id = c.key_basis_id
  WHERE q.name = 'none' AND k.name = 'none' AND c.side = 'key' GROUP BY c.run, c.head, c.example_id
) AS w ON w.run = s.run AND w.head = s.head AND w.example_id = s.example_id
GROUP BY s.run, s.head ORDER BY s.run, s.head'''


class DuckDB:
    def __init__(self):
        import duckdb
        self.version, self.connection = duckdb.__version__, duckdb.connect()

    def table(self, folder, name):
        self.connection.execute(f"CREATE OR REPLACE VIEW \"{name}\" AS FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)")
        columns = {c: str(t) for c, t, *_ in self.connection.execute(f'DESCRIBE "{name}"').fetchall()}
        rows = self.connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        runs = dict(self.connection.execute(f'SELECT run, count(*) FROM "{name}" GROUP BY run').fetchall()) if 'run' in columns else {}
        numbers = [c for c, t in columns.items() if t in ('INTEGER', 'BIGINT', 'FLOAT', 'DOUBLE')]
        sums = self.connection.execute('SELECT ' + ', '.join(f'coalesce(sum("{c}"::DOUBLE), 0)' for c in numbers) + f' FROM "{name}"').fetchone() if numbers else []
        return rows, runs, dict(zip(numbers, sums))

    def ask(self, folder):
        return self.connection.execute(QUESTION).fetchall()


class Polars:
    def __init__(self):
        import polars
        self.pl, self.version, self.frames = polars, polars.__version__, {}

    def table(self, folder, name):
        pl = self.pl
        frame = self.frames[name] = pl.scan_parquet(f'{folder}/**/*.parquet', hive_partitioning=True).collect()
        runs = dict(frame.group_by('run').len().rows()) if 'run' in frame.columns else {}
        numbers = [c for c, t in frame.schema.items() if t in (pl.Int32, pl.Int64, pl.Float32, pl.Float64)]
        return frame.height, runs, {c: frame[c].cast(pl.Float64).sum() for c in numbers}

    def ask(self, folder):
        return self.pl.SQLContext({name: self.frames[name] for name in ('score', 'contribution_wide', 'basis')}).execute(QUESTION, eager=True).rows()


class Pandas:
    def __init__(self):
        import pandas
        self.pd, self.version, self.frames = pandas, pandas.__version__, {}

    def table(self, folder, name):
        frame = self.frames[name] = self.pd.read_parquet(folder)
        runs = {str(k): int(n) for k, n in frame['run'].value_counts().items() if n} if 'run' in frame.columns else {}
        numbers = [c for c in frame.columns if frame[c].dtype.kind in 'if']
        return len(frame), runs, {c: float(frame[c].astype('float64').sum()) for c in numbers}

    def ask(self, folder):
        c, basis, score = (self.frames[n] for n in ('contribution_wide', 'basis', 'score'))
        basis = basis[basis['name'] == 'none'][['run', 'basis_id']].astype({'run': str})
        c = c[c['side'] == 'key'].astype({'run': str, 'head': str})
        for end in ('query', 'key'):
            c = c.merge(basis, left_on=['run', f'{end}_basis_id'], right_on=['run', 'basis_id']).drop(columns='basis_id')
        c['total'] = c[[f'score_{q}' for q in ('par_par', 'par_perp', 'perp_par', 'perp_perp')]].astype('float64').sum(axis=1)
        total = c.groupby(['run', 'head', 'example_id'])['total'].sum().reset_index()
        both = total.merge(score.astype({'run': str, 'head': str}), on=['run', 'head', 'example_id'])
        both['miss'] = (both['total'] - both['score']).abs()
        answer = both.groupby(['run', 'head']).agg(mean=('total', 'mean'), miss=('miss', 'max')).reset_index()
        return answer.sort_values(['run', 'head']).values.tolist()


class PyArrow(Pandas):
    """pyarrow.dataset reads, and pandas computes."""
    def __init__(self):
        super().__init__()
        import pyarrow
        import pyarrow.dataset
        self.dataset, self.version = pyarrow.dataset, pyarrow.__version__

    def table(self, folder, name):
        whole = self.dataset.dataset(folder, partitioning='hive').to_table()
        frame = self.frames[name] = whole.to_pandas()
        runs = {k: int(n) for k, n in frame['run'].value_counts().items()} if 'run' in frame.columns else {}
        numbers = [f.name for f in whole.schema if str(f.type) in ('int32', 'int64', 'float', 'double')]
        return whole.num_rows, runs, {c: float(frame[c].astype('float64').sum()) for c in numbers}


def comments(folder):
    """What the files of a table say of it."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        return None
    file = glob.glob(folder + '/**/*.parquet', recursive=True)[0]
    found = parquet.read_metadata(file).metadata
    spark = json.loads(found[b'org.apache.spark.sql.parquet.row.metadata'])
    return {'table': found[b'ducklens.comment'].decode(), 'score': json.loads(found[b'ducklens.columns'])['score'],
            'spark': [f['metadata']['comment'] for f in spark['fields'] if f['name'] == 'score'][0]}


def main():
    engine, folder = {'duckdb': DuckDB, 'polars': Polars, 'pandas': Pandas, 'pyarrow': PyArrow}[sys.argv[1]](), sys.argv[2]
    found = {'version': engine.version, 'tables': {}}
    for name in sorted(os.listdir(folder)):
        if name not in ('ducklens', 'spark'):
            rows, runs, sums = engine.table(os.path.join(folder, name), name)
            found['tables'][name] = {'rows': rows, 'runs': runs, 'sums': sums}
    found['answer'] = [list(row) for row in engine.ask(folder)]
    found['comments'] = comments(os.path.join(folder, 'score'))
    print(json.dumps(found))


main()
