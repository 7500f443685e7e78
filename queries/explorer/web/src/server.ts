import { type Answer, type Backend, Failure, type Manifest, type Question, type Schema } from "./backend.ts";

const tokenKey = "ducklens-token";

/** server connects to the ducklens explore that served the page. */
export async function server(): Promise<Backend> {
  const token = takeToken();
  const headers = { "X-Ducklens-Token": token };
  const manifest = await read<Manifest>(await fetch("/api/manifest", { headers }));

  const post = (path: string, body: object, signal?: AbortSignal) =>
    fetch(path, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
  const path = (question: Question) => (question.name ? "/api/saved" : "/api/query");

  return {
    manifest,
    ask: async (question, signal) => read<Answer>(await post(path(question), question, signal)),
    schema: async (file) => read<Schema>(await post("/api/schema", { file })),
    tables: ["csv", "parquet"],
    table: async (question, format, signal) => file(await post(path(question), { ...question, format }, signal)),
    plot: async (question, format, signal) => file(await post("/api/plot", { ...question, format }, signal)),
  };
}

/** takeToken removes the token from the address, so that a link that the user sends does not contain it. */
function takeToken(): string {
  const address = new URL(location.href);
  const given = address.searchParams.get("token");
  if (given) {
    sessionStorage.setItem(tokenKey, given);
    address.searchParams.delete("token");
    history.replaceState(null, "", address);
  }
  return given ?? sessionStorage.getItem(tokenKey) ?? "";
}

async function read<T>(response: Response): Promise<T> {
  const isJSON = response.headers.get("Content-Type")?.startsWith("application/json");
  const body = isJSON ? await response.json() : { error: { message: (await response.text()).trim() || response.statusText } };
  if (body.error) throw new Failure(body.error.message, body.error.hint);
  return body as T;
}

async function file(response: Response): Promise<Blob> {
  if (!response.ok || response.headers.get("Content-Type")?.startsWith("application/json")) {
    const copy = response.clone();
    if (!response.ok) return read<Blob>(response);
    const body = await copy.json().catch(() => null);
    if (body?.error) return read<Blob>(response);
  }
  return response.blob();
}
