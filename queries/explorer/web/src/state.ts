// The state of the page is in its address, so that Back works and a link restores it.

/** The state: a view and its settings. All values are text; a setting that is not set is absent. */
export type State = { view: string } & Record<string, string | undefined>;

export const views = ["heads", "components", "cell", "prompt", "pairs", "directions", "writes", "sql", "compare"] as const;
export type View = (typeof views)[number];

export function parse(hash: string): State {
  const [view, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const state: State = { view: view ?? "" };
  for (const [key, value] of new URLSearchParams(query)) state[key] = value;
  return state;
}

export function format(state: State): string {
  const query = new URLSearchParams();
  for (const key of Object.keys(state).sort()) {
    const value = state[key];
    if (key !== "view" && value !== undefined && value !== "") query.set(key, value);
  }
  const text = query.toString();
  return `#/${state.view}${text ? `?${text}` : ""}`;
}

/** change returns the state with some settings changed; undefined removes a setting. */
export function change(state: State, settings: Record<string, string | undefined>): State {
  return { ...state, ...settings } as State;
}
