// Asks the files of a folder that `ducklens explore --export` wrote every saved query, and further SQL, with the folder's duckdb-wasm, as its pages would, and
// prints the answers as JSON: node wasm.cjs FOLDER [SQL...], with @duckdb/duckdb-wasm on NODE_PATH for what drives it from Node.js.
const fs = require('fs');
const path = require('path');
const duckdb = require('@duckdb/duckdb-wasm/dist/duckdb-node-blocking.cjs');

const types = { TEXT: 'VARCHAR', INTEGER: 'BIGINT', DOUBLE: 'DOUBLE', BOOLEAN: 'BOOLEAN' };

// literal writes the default of a parameter.
function literal(parameter) {
  const value = parameter.default;
  const text = value === null ? 'NULL' : typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
  return `(${text}::${types[parameter.type]})`;
}

async function main(folder) {
  const module = { mainModule: path.join(folder, 'duckdb/duckdb-eh.wasm'), mainWorker: '' };
  const db = await duckdb.createDuckDB({ mvp: module, eh: module }, new duckdb.VoidLogger(), duckdb.NODE_RUNTIME);
  await db.instantiate(() => {});
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'manifest.json'), 'utf8'));
  const found = [];
  for (const file of manifest.files) {
    db.open({ path: ':memory:' });
    db.registerFileBuffer(file.path, new Uint8Array(fs.readFileSync(path.join(folder, file.path))));
    const connection = db.connect();
    connection.query(`ATTACH '${file.path}' AS ${file.database} (READ_ONLY)`);
    for (const statement of file.setup) connection.query(statement);
    const own = process.argv.slice(3).map((sql) => ({ name: sql, parameters: [], sql }));
    for (const query of manifest.saved.concat(own)) {
      let sql = query.sql;
      for (const p of query.parameters) sql = sql.replace(new RegExp(`\\$${p.name}\\b`, 'g'), literal(p));
      const table = connection.query(`SELECT COLUMNS(*)::VARCHAR FROM (\n${sql}\n)`);
      found.push({ file: file.alias, query: query.name, rows: table.toArray().map((row) => row.toArray()) });
    }
    connection.close();
  }
  console.log(JSON.stringify(found));
}

main(process.argv[2]).catch((error) => { console.error(String(error)); process.exit(1); });
