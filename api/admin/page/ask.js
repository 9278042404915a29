// Asks this server, and nobody else. What comes back holds strangers' text: it is only ever shown as text.

const PATIENCE = 8000;

export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

// The answer; throws Refused with the server's reason, or another error when the server can't be reached.
export async function ask(what, query = {}) {
  // The page's own address may hold credentials (user and token before the host), and fetch takes no such URL.
  const url = new URL(`${what}?${new URLSearchParams(query)}`, location.origin + location.pathname);
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error ?? `${answer.status} ${answer.statusText}`);
}

export function linkTo(path) {
  return `#${path.split("/").map(encodeURIComponent).join("/")}`;
}
