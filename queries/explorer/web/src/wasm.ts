// DuckDB in the browser, for pages on a static host. It runs the same statements as the server, which are in the manifest.

import * as duckdb from "@duckdb/duckdb-wasm";
import { type Answer, type Backend, type Column, Failure, type File, type Manifest, type Question, type Schema, type Value } from "./backend.ts";
import { withDefaults, withValues } from "./literals.ts";

const wholeBelow = 256 * 1024 * 1024; // larger files are read in the ranges that a query needs, where the host gives ranges
const patience = 3000; // milliseconds that a question which nobody waits for any more may take to its end

/** wasm opens the files beside the page. */
export async function wasm(): Promise<Backend> {
  const manifest = (await (await get("manifest.json")).json()) as Manifest;
  const sessions = new Map(manifest.files.map((file) => [file.alias, new Session(file)]));
  const session = (question: Question): Session => {
    const found = sessions.get(question.file);
    if (!found) throw new Failure(`the folder holds no file ${question.file}`);
    return found;
  };
  const sql = (question: Question): string => {
    const file = manifest.files.find((f) => f.alias === question.file);
    const saved = question.name ? [...manifest.saved, ...manifest.statements, ...(file?.saved ?? [])].find((q) => q.name === question.name) : undefined;
    if (question.name && !saved) throw new Failure(`no saved query ${question.name}`);
    const parameters = saved?.parameters ?? [];
    return withValues(saved?.sql ?? question.sql ?? "", { ...question.params, ...withDefaults(parameters, question.params) }, parameters);
  };

  let schemas: Promise<Record<string, Schema>> | undefined;
  return {
    manifest,
    ask: (question, signal) => session(question).ask(sql(question), question.limit, signal),
    schema: async (alias) => {
      schemas ??= get("schema.json").then((response) => response.json());
      return (await schemas)[alias] ?? { tables: [], macros: [] };
    },
    tables: ["csv"], // the wasm of DuckDB has no Parquet of its own, and loads nothing from elsewhere
    table: async (question, _, signal) => csv(await session(question).ask(sql(question), undefined, signal)),
  };
}

async function get(path: string): Promise<Response> {
  const response = await fetch(path);
  if (!response.ok) throw new Failure(`${path}: ${response.status} ${response.statusText}`, "The folder that ducklens explore --export wrote has it: is the whole folder on the host?");
  return response;
}

function csv(answer: Answer): Blob {
  const quoted = (value: Value) => {
    const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const lines = [answer.columns.map((c) => quoted(c.name)), ...answer.rows.map((row) => row.map(quoted))];
  return new Blob([lines.map((line) => line.join(",")).join("\n"), "\n"], { type: "text/csv" });
}

interface Open {
  worker: Worker;
  connection: duckdb.AsyncDuckDBConnection;
  views: Views;
}

// Views are the views and macros of a file. Each is created when a question names it, because binding all takes seconds.
class Views {
  private readonly list: { name: string; create: string; uses: Set<string> }[] = []; // what is used stands before what uses it
  private readonly made = new Set<string>();
  /** statements that create neither views nor macros, and run first */
  readonly first: string[] = [];

  constructor(setup: string[]) {
    for (const create of setup) {
      const name = create.match(/^CREATE (?:VIEW|MACRO) "?(\w+)/)?.[1]?.toLowerCase();
      if (name) this.list.push({ name, create, uses: words(create) });
      else this.first.push(create);
    }
  }

  /** wanted returns the statements that create what a question needs and lacks; without a question, all. */
  wanted(sql?: string): string[] {
    const names = sql === undefined || asksWhatThereIs.test(sql) ? new Set(this.list.map((v) => v.name)) : words(sql);
    for (const view of [...this.list].reverse()) {
      if (names.has(view.name)) for (const name of view.uses) names.add(name);
    }
    const missing = this.list.filter((v) => names.has(v.name) && !this.made.has(v.name));
    for (const view of missing) this.made.add(view.name);
    return missing.map((v) => v.create);
  }
}

const asksWhatThereIs = /\b(?:show|duckdb_\w+|information_schema|pg_catalog|sqlite_master)\b/i;
const words = (sql: string) => new Set(sql.toLowerCase().match(/\w+/g));

// A Session is a DuckDB in a worker, for one file. It has one thread, and answers questions one after another.
class Session {
  private content: Uint8Array | undefined;
  private opened: Promise<Open> | undefined;
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly file: File) {}

  private async open(): Promise<Open> {
    const path = this.file.path ?? this.file.name;
    const name = `${this.file.database ?? "file"}.duckdb`;
    const url = new URL(path, location.href).href;
    const worker = new Worker(new URL("duckdb/duckdb-browser-eh.worker.js", location.href));
    const db = new duckdb.AsyncDuckDB(new duckdb.VoidLogger(), worker);
    await db.instantiate(new URL("duckdb/duckdb-eh.wasm", location.href).href);
    await db.open({ query: { castDecimalToDouble: true } });
    const length = Number((await fetch(url, { method: "HEAD" })).headers.get("Content-Length") ?? 0);
    if (length < wholeBelow) {
      this.content ??= new Uint8Array(await (await get(path)).arrayBuffer());
      await db.registerFileBuffer(name, this.content.slice());
    } else {
      await db.registerFileURL(name, url, duckdb.DuckDBDataProtocol.HTTP, false);
    }
    const connection = await db.connect();
    await connection.query(`ATTACH '${name}' AS "${this.file.database ?? "file"}" (READ_ONLY)`);
    const views = new Views(this.file.setup ?? []);
    await make(connection, views.first);
    return { worker, connection, views };
  }

  /** ask waits for its turn. A question that is broken off while DuckDB is at it goes on for a while: a new worker takes longer. */
  async ask(sql: string, limit: number | undefined, signal: AbortSignal | undefined): Promise<Answer> {
    const own = this.last.catch(() => {}).then(async () => {
      signal?.throwIfAborted();
      this.opened ??= this.open();
      const opened = await this.opened;
      return this.broken(opened.worker, signal, this.answer(opened, sql, limit));
    });
    this.last = own;
    try {
      return await own;
    } catch (e) {
      if (signal?.aborted) throw e;
      throw new Failure(e instanceof Error ? e.message : String(e));
    }
  }

  // broken ends the worker if it is still at a question some time after nobody waits for it.
  private async broken<T>(worker: Worker, signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
    let timer = 0;
    let stop = () => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = () => {
        timer = window.setTimeout(() => {
          worker.terminate();
          this.opened = undefined;
          reject(signal?.reason);
        }, patience);
      };
    });
    signal?.addEventListener("abort", stop);
    try {
      return await Promise.race([work, stopped]);
    } finally {
      window.clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  private async answer({ connection, views }: Open, sql: string, limit: number | undefined): Promise<Answer> {
    await make(connection, views.wanted(sql));
    const began = performance.now();
    const statement = sql.trim().replace(/;$/, "");
    const bare = statement.replace(/^(?:--[^\n]*\n|\s)+/, "");
    const limited = limit && /^(select|with|from|values)\b/i.test(bare) ? `SELECT * FROM (\n${statement}\n) LIMIT ${limit + 1}` : statement;
    const table = await connection.query(limited).catch(async (e: unknown) => {
      if (!/Catalog Error/.test(String(e))) throw e;
      await make(connection, views.wanted()); // DuckDB suggests names that are near, if they are there
      return connection.query(limited);
    });
    const columns: Column[] = table.schema.fields.map((f) => ({ name: f.name, type: kind(String(f.type)), db_type: String(f.type) }));
    const vectors = columns.map((_, j) => table.getChildAt(j));
    const n = limit ? Math.min(limit, table.numRows) : table.numRows;
    const rows = Array.from({ length: n }, (_, i) => vectors.map((v) => plain(v?.get(i))));
    const notes = n === 0 ? ["nothing in the file meets the conditions"] : [];
    return { columns, rows, truncated: table.numRows > n, seconds: (performance.now() - began) / 1000, notes };
  }
}

async function make(connection: duckdb.AsyncDuckDBConnection, statements: string[]): Promise<void> {
  if (statements.length > 0) await connection.query(statements.join(";\n"));
}

// kind says of a type of Arrow what pages need to know.
function kind(type: string): string {
  if (type === "Bool") return "bool";
  if (/^U?int/i.test(type)) return "integer";
  if (/^Float/.test(type)) return "float";
  if (/^Decimal/.test(type)) return "exact";
  if (/^(Utf8|LargeUtf8|Dictionary)/.test(type)) return "text";
  if (/^(Date|Time|Timestamp|Interval|Duration)/.test(type)) return "time";
  return /^(List|Struct|FixedSizeList|Map)/.test(type) ? "nested" : "other";
}

function plain(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (value instanceof Date) return value.toISOString();
  if (typeof (value as Iterable<unknown>)[Symbol.iterator] === "function") return [...(value as Iterable<unknown>)].map(plain);
  return String(value);
}
