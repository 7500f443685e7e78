// Opens a run file with the DuckDB client of Node.js, which shares no code with ducklens, and prints what
// it finds as JSON: node foreign.cjs FILE.duckdb, with @duckdb/node-api on NODE_PATH.
const { DuckDBInstance, version } = require('@duckdb/node-api');

async function main() {
  const instance = await DuckDBInstance.create(process.argv[2], {
    access_mode: 'READ_ONLY',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  const rows = async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
  const one = async (sql) => Object.values((await rows(sql))[0])[0];
  const found = {
    client: version(),
    tables: await rows("SELECT table_name AS name, comment FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"),
    columns: await rows("SELECT table_name || '.' || column_name AS name, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"),
    views: await rows("SELECT view_name AS name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL"),
    macros: await rows("SELECT DISTINCT function_name AS name, comment FROM duckdb_functions() WHERE NOT internal ORDER BY ALL"),
    examples: Number(await one('SELECT count(*) FROM example')),
    // The parts of every score add up to it, seen by a stranger; those of a replaced vector are not meant to.
    residual: await one(`
      SELECT max(abs(s.score - c.total)) FROM score s JOIN head h USING (run_id, head_id)
      JOIN (SELECT run_id, example_id, head, side, query_basis, key_basis, sum(score::DOUBLE) AS total
            FROM contribution
            WHERE query_basis NOT IN (SELECT name FROM basis WHERE kind = 'replacement')
              AND key_basis NOT IN (SELECT name FROM basis WHERE kind = 'replacement')
            GROUP BY ALL) c ON c.run_id = s.run_id AND c.example_id = s.example_id AND c.head = h.label`),
    heatmap: await rows('SELECT * FROM contribution_mean LIMIT 3'),
  };
  console.log(JSON.stringify(found, null, 1));
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
