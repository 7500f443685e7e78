// Statements for views that have no saved query. They have the form of saved queries, so that they can be drawn, and
// opened in the SQL box, in the same way.

import type { Params, Parameter, SavedQuery } from "./backend.ts";
import cellPairs from "./sql/cell_pairs.sql";
import cellPrompts from "./sql/cell_prompts.sql";
import componentPairs from "./sql/component_pairs.sql";
import components from "./sql/components.sql";
import promptAblation from "./sql/prompt_ablation.sql";
import promptPairs from "./sql/prompt_pairs.sql";
import promptPairsSplit from "./sql/prompt_pairs_split.sql";
import promptScore from "./sql/prompt_score.sql";
import promptTokens from "./sql/prompt_tokens.sql";
import promptWithout from "./sql/prompt_without.sql";
import substitutionMeans from "./sql/substitution_means.sql";

const texts = [cellPairs, cellPrompts, componentPairs, components, promptAblation, promptPairs, promptPairsSplit, promptScore, promptTokens, promptWithout, substitutionMeans];

export const statements: Map<string, SavedQuery> = new Map(
  texts.map((sql) => {
    const query = parse(sql);
    return [query.name, query];
  }),
);

/** withDefaults adds the defaults of the parameters that are not set. */
export function withDefaults(parameters: Parameter[], params: Params): Params {
  return Object.fromEntries(parameters.map((p) => [p.name, params[p.name] ?? p.default ?? null]));
}

// parse reads the header of one of these statements. Headers of other queries are parsed by the server.
function parse(sql: string): SavedQuery {
  const lines: string[] = [];
  for (const line of sql.split("\n")) {
    if (!line.startsWith("--")) break;
    const text = line.slice(2);
    if (/^ {3}/.test(text)) lines[lines.length - 1] += ` ${text.trim()}`;
    else lines.push(text.trim());
  }
  const query: SavedQuery = { name: "", title: "", description: "", chart: "table", parameters: [], sql };
  for (const line of lines) {
    const [, key, value] = line.match(/^(\w+): (.*)$/) ?? [];
    if (key === "param") query.parameters.push(parameter(value ?? ""));
    else if (key === "name" || key === "title" || key === "description" || key === "chart") query[key] = value ?? "";
  }
  return query;
}

function parameter(text: string): Parameter {
  const [, name = "", type = "", literal = "NULL", about = ""] = text.match(/^(\w+) (\w+)(?: = ('[^']*'|[^,]*))?(?:, (.*))?$/) ?? [];
  const values: Record<string, string | boolean | null> = { NULL: null, true: true, false: false };
  const value = literal.startsWith("'") ? literal.slice(1, -1) : literal in values ? values[literal] : Number(literal);
  return { name, type, default: value ?? null, about };
}
