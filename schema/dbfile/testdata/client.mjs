// Reads a ducklens file with a DuckDB that ducklens did not bring: node client.mjs FOLDER FILE QUERY...
// Prints the version, then one line of JSON per query: its rows, or the message of its error.
import { createRequire } from 'node:module';

const [folder, file, ...queries] = process.argv.slice(2);
const { DuckDBInstance } = createRequire(folder + '/')('@duckdb/node-api');
const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' });
const connection = await instance.connect();
for (const query of ['SELECT version()', ...queries]) {
  const answer = await connection.runAndReadAll(query).then((reader) => reader.getRows(), (error) => error.message);
  console.log(JSON.stringify(answer, (_, v) => (typeof v === 'bigint' ? Number(v) : v)));
}
