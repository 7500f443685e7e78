// Reads a ducklens file with a DuckDB that ducklens did not bring: node client.mjs FOLDER FILE QUERY...
// Prints the version, then one line of JSON per query.
import { createRequire } from 'node:module';

const [folder, file, ...queries] = process.argv.slice(2);
const { DuckDBInstance } = createRequire(folder + '/')('@duckdb/node-api');
const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' });
const connection = await instance.connect();
for (const query of ['SELECT version()', ...queries]) {
  const reader = await connection.runAndReadAll(query);
  console.log(JSON.stringify(reader.getRows(), (_, v) => (typeof v === 'bigint' ? Number(v) : v)));
}
