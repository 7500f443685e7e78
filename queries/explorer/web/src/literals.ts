import type { Params, Parameter } from "./backend.ts";

/** withDefaults adds the defaults of the parameters that are not set. */
export function withDefaults(parameters: Parameter[], params: Params): Params {
  return Object.fromEntries(parameters.map((p) => [p.name, params[p.name] ?? p.default ?? null]));
}

// Text in which $ does not begin a parameter: strings, quoted names and comments.
const opaque = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//y;
const parameter = /\$([A-Za-z_]\w*)/y;

/** withValues replaces parameters by their values, because duckdb-wasm has no named parameters. */
export function withValues(sql: string, params: Params, parameters: Parameter[]): string {
  const types = new Map(parameters.map((p) => [p.name, casts[p.type] ?? ""]));
  let result = "";
  for (let at = 0; at < sql.length; ) {
    opaque.lastIndex = at;
    parameter.lastIndex = at;
    const skipped = opaque.exec(sql);
    const found = skipped ? null : parameter.exec(sql);
    if (skipped) result += skipped[0];
    else if (found) result += literal(params[found[1] as string] ?? null, types.get(found[1] as string) ?? "");
    else result += sql[at];
    at += (skipped ?? found)?.[0].length ?? 1;
  }
  return result;
}

const casts: Record<string, string> = { TEXT: "::VARCHAR", INTEGER: "::BIGINT", DOUBLE: "::DOUBLE", BOOLEAN: "::BOOLEAN" };

function literal(value: Params[string], cast: string): string {
  if (value === null || value === undefined) return `NULL${cast}`;
  if (typeof value === "string") return `'${value.replace(/'/g, "''")}'${cast}`;
  return `(${String(value)})${cast}`;
}
