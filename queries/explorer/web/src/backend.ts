// Two backends answer questions: the server of ducklens explore, or DuckDB in the browser if the pages are in a
// folder. Both run the same statements.

export type Value = number | string | boolean | null | Value[];
export type Params = Record<string, number | string | boolean | null>;

export interface Column {
  name: string;
  /** bool, integer, float, exact, text, time, nested or other */
  type: string;
  db_type?: string;
}

export interface Answer {
  columns: Column[];
  rows: Value[][];
  truncated: boolean;
  seconds: number;
  notes: string[];
}

export interface Basis {
  name: string;
  kind: "whole" | "subspace" | "replacement";
  description?: string;
}

export interface Run {
  run: number;
  status: string;
  /** why nothing can be asked about the run, such as that it is not complete */
  fault?: { message: string; hint?: string };
  model: string;
  prompts: number | null;
  edges: number | null;
  baselines: number;
  /** with which keys the edges are compared, such as S1 */
  baseline: string;
  source: string;
  convention: string;
  heads: string[];
  bases: { query: Basis[]; key: Basis[] };
  components: string[];
  movers: string[];
  /** fields of prompts with their values, the most common first */
  fields: { name: string; values: string[]; distinct_values: number }[];
  /** what the run lacks, with the flag of ducklens that stores it */
  lacks: { what: string; text: string }[];
}

export interface Parameter {
  name: string;
  type: string;
  default: number | string | boolean | null;
  needed?: boolean;
  about: string;
}

export interface SavedQuery {
  name: string;
  title: string;
  description: string;
  chart: string;
  parameters: Parameter[];
  sql: string;
}

export interface Relation {
  name: string;
  kind: string;
  comment: string | null;
  columns: { name: string; type: string; comment: string | null }[];
}

export interface Macro {
  name: string;
  table: boolean;
  parameters: string[];
  comment: string | null;
}

export interface Schema {
  tables: Relation[];
  macros: Macro[];
}

export interface File {
  alias: string;
  name: string;
  latest: number | null;
  runs: Run[];
  saved: SavedQuery[];
  left_out?: { name: string; why: string }[];
  /** in a folder: the path of the file, the name it is attached as, and the statements that create its views */
  path?: string;
  database?: string;
  setup?: string[];
}

export interface Manifest {
  mode: string;
  version: string;
  files: File[];
  saved: SavedQuery[];
  /** of views that no saved query stands for */
  statements: SavedQuery[];
  formats: string[];
}

/** A question: SQL, or the name of a saved query or of a statement. */
export interface Question {
  file: string;
  sql?: string;
  name?: string;
  params: Params;
  limit?: number;
}

export interface Backend {
  readonly manifest: Manifest;
  ask(question: Question, signal?: AbortSignal): Promise<Answer>;
  /** the tables, columns and macros of a file */
  schema(file: string): Promise<Schema>;
  /** formats of an answer as a file */
  readonly tables: string[];
  table(question: Question, format: string, signal?: AbortSignal): Promise<Blob>;
  /** the figure as ducklens plot draws it; only a server can */
  plot?(question: Question, format: string, signal?: AbortSignal): Promise<Blob>;
}

/** A Failure is the error of a question. */
export class Failure extends Error {
  constructor(message: string, readonly hint = "") {
    super(message);
  }
}

/** records returns the rows of an answer as objects. */
export function records<T>(answer: Answer): T[] {
  return answer.rows.map((row) => Object.fromEntries(answer.columns.map((column, i) => [column.name, row[i]])) as T);
}
