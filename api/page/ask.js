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
  const answer = await fetch(`${what}?${new URLSearchParams(query)}`, { signal: AbortSignal.timeout(PATIENCE) });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error ?? `${answer.status} ${answer.statusText}`);
}

export function linkTo(path) {
  return `#${path.split("/").map(encodeURIComponent).join("/")}`;
}
