import type { Answer, Backend, File, Params, Question, Run, SavedQuery } from "./backend.ts";
import { Failure, records } from "./backend.ts";
import { withDefaults } from "./literals.ts";
import { count, headName } from "./numbers.ts";
import { type State, change, format } from "./state.ts";

/** An Asked question is shown under the view that asked it. */
export interface Asked {
  query: SavedQuery;
  params: Params;
  answer?: Answer;
  /** the answer when it is there */
  coming: Promise<Answer>;
}

/** A Context gives a view its state, and asks questions for it. */
export class Context {
  constructor(
    readonly backend: Backend,
    readonly state: State,
    readonly file: File,
    readonly run: Run | undefined,
    readonly signal: AbortSignal,
    /** all questions that the view asked */
    readonly asked: Asked[] = [],
    /** the example of the view has no baseline */
    readonly bare = false,
  ) {}

  /** head is the target head, such as L10H7. */
  get head(): string {
    const [heads, asked] = [this.run?.heads ?? [], this.state["head"]];
    return asked === undefined ? heads[0] ?? "" : heads.find((label) => headName(label) === headName(asked)) ?? asked;
  }

  get side(): "query" | "key" {
    return this.state["side"] === "query" ? "query" : "key";
  }

  get queryBasis(): string {
    return this.state["qb"] ?? "none";
  }

  get keyBasis(): string {
    return this.state["kb"] ?? "none";
  }

  /** subtract reports whether the baseline is subtracted: yes, unless the user chose otherwise or there is none. */
  get subtract(): boolean {
    return !this.bare && (this.run?.baselines ?? 0) > 0 && this.state["subtract"] !== "no";
  }

  /** noun names what contributions are counted over: prompts, or edges where a run has several of a prompt. */
  get noun(): "prompt" | "edge" {
    return (this.run?.edges ?? 0) > (this.run?.prompts ?? 0) ? "edge" : "prompt";
  }

  /** many says how many of them there are, out of those of the run. */
  many(n: number): string {
    const { edges, prompts } = this.run ?? {};
    if (this.noun === "prompt" || n === 1 || !edges) return count(n, this.noun);
    return `${n === edges ? "" : `${n.toLocaleString("en")} of `}${count(edges, "edge")} of ${count(prompts ?? 0, "prompt")}`;
  }

  get Noun(): string {
    return this.noun === "edge" ? "Edge" : "Prompt";
  }

  /** of returns the context of a view of one example: one in which nothing is subtracted if the example has no baseline. */
  async of(example: number): Promise<Context> {
    if (!this.subtract || this.run?.baselines === this.run?.edges) return this; // all of them have one
    const answer = await this.ask("prompt_score", { example });
    const [score] = records<{ baseline: number | null }>(answer);
    return score?.baseline === null ? new Context(this.backend, this.state, this.file, this.run, this.signal, this.asked, true) : this;
  }

  has(what: string): boolean {
    return this.run !== undefined && !this.run.lacks.some((l) => l.what === what);
  }

  /** lack returns the program's own text about what the run lacks and the command that adds it. */
  lack(what: string): string {
    return this.run?.lacks.find((l) => l.what === what)?.text ?? "nothing in the run meets the conditions";
  }

  /** query returns a saved query of ducklens or of the file, or a statement of the views. */
  query(name: string): SavedQuery | undefined {
    const { statements, saved } = this.backend.manifest;
    return [...statements, ...this.file.saved, ...saved].find((q) => q.name === name);
  }

  /** question returns the request for a query, with the page's run, head and filter if the query has such parameters. */
  question(name: string, settings: Params = {}): { query: SavedQuery; question: Question } {
    const query = this.query(name);
    if (!query) throw new Failure(`no saved query ${name}`, "This file or this ducklens does not have it.");
    const own: Params = { run: this.run?.run ?? null, head: this.head || null, only: this.state["only"] ?? null, ...settings };
    const params = withDefaults(query.parameters, own);
    return { query, question: { file: this.file.alias, name, params } };
  }

  /** ask runs a query by name. The view shows it below its figures. */
  async ask(name: string, settings: Params = {}, limit?: number): Promise<Answer> {
    const { query, question } = this.question(name, settings);
    const limited = limit ? { ...question, limit } : question;
    const answer = recall(limited);
    const coming = answer ? Promise.resolve(answer) : this.backend.ask(limited, this.signal).then((answer) => remember(limited, answer));
    const asked: Asked = { query, params: question.params, coming, ...(answer ? { answer } : {}) };
    this.asked.push(asked);
    return (asked.answer = await coming);
  }

  /** link returns the address of the page with some settings changed. */
  link(settings: Record<string, string | undefined>): string {
    return format(change(this.state, settings));
  }

  go(settings: Record<string, string | undefined>): void {
    location.hash = this.link(settings);
  }
}

const mostRemembered = 100;
const longestRemembered = 5000; // rows
const answers = new Map<string, Answer>(); // of questions that views asked, the last ones last: files do not change while they are open

// recall returns the answer to a question that a view asked before: users go back, and views share questions.
function recall(question: Question): Answer | undefined {
  const answer = answers.get(JSON.stringify(question));
  return answer && remember(question, answer);
}

function remember(question: Question, answer: Answer): Answer {
  const key = JSON.stringify(question);
  answers.delete(key);
  if (answer.rows.length <= longestRemembered) answers.set(key, answer);
  for (const oldest of answers.keys()) {
    if (answers.size <= mostRemembered) break;
    answers.delete(oldest);
  }
  return answer;
}
