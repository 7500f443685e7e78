// Reads a folder of ducklens export with the DuckDB client of Node.js, which shares no code with ducklens, and prints what it finds as JSON:
// node parquet.cjs DIR, with @duckdb/node-api on NODE_PATH. Nothing but the folder is there: the tables are its subfolders.
const { DuckDBInstance, version } = require('@duckdb/node-api');
const { readFileSync, readdirSync } = require('node:fs');

async function main() {
  const dir = process.argv[2];
  const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
  const connection = await instance.connect();
  const rows = async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
  const one = async (sql) => Object.values((await rows(sql))[0])[0];
  const manifest = JSON.parse(readFileSync(dir + '/ducklens/' + readdirSync(dir + '/ducklens')[0], 'utf8'));
  const found = { client: version(), rows: {} };
  for (const table of manifest.tables) {
    const glob = `'${dir}/${table.name}/**/*.parquet'`;
    await connection.run(`CREATE VIEW "${table.name}" AS FROM read_parquet(${glob}, hive_partitioning = true)`);
    found.rows[table.name] = Number(await one(`SELECT count(*) FROM "${table.name}"`));
  }
  found.runs = (await rows('SELECT DISTINCT run_id FROM contribution_wide ORDER BY run_id')).map((r) => Number(r.run_id));
  // The unsplit parts of every score add up to it.
  found.residual = await one(`
    SELECT max(abs(s.score - c.total)) FROM score s JOIN (
      SELECT w.run_id, w.example_id, w.head_id, w.side,
             sum(score_par_par::DOUBLE + score_par_perp + score_perp_par + score_perp_perp) AS total
      FROM contribution_wide w JOIN basis q ON q.run_id = w.run_id AND q.basis_id = w.query_basis_id
           JOIN basis k ON k.run_id = w.run_id AND k.basis_id = w.key_basis_id
      WHERE q.name = 'none' AND k.name = 'none' GROUP BY ALL) c USING (run_id, example_id, head_id)`);
  console.log(JSON.stringify(found, null, 1));
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
