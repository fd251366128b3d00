// Requests of this page to its server. Whatever goes wrong becomes one kind of error, a Refusal.

export class Refusal extends Error {
  // `status` is 0 where no answer came. `fields` are messages by form field.
  constructor({ status = 0, code = "", message = "", requestId = "", fields = null, method = "" }) {
    super(message || (status ? `The answer was not understood (status ${status}).` : "Partway cannot be reached."));
    Object.assign(this, { status, code, requestId, fields, method });
  }

  static from(status, text, method) {
    const answer = parsed(text);
    const { code = "", message = "", request_id: requestId = "" } = answer.error || {};
    return new Refusal({ status, code, message, requestId, fields: answer.fields || null, method });
  }
}

// Whether the last answer said that nobody is signed in.
export const session = { hasEnded: false };

export function noteAnswer(status, code = "") {
  if (status) session.hasEnded = status === 401 || code === "CsrfFailed";
}

function parsed(text) {
  try {
    return JSON.parse(text) || {};
  } catch {
    return {}; // A proxy answers in HTML.
  }
}

// The cookie first: signing in again in another tab changes the token, and the one in this page is old then.
export function csrfToken() {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
  return cookie ? cookie.slice("csrftoken=".length) : document.querySelector("[name=csrfmiddlewaretoken]").value;
}

export const getJson = (url) => ask("GET", url);

export const post = (url, body = null) => ask("POST", url, body);

export const postJson = (url, value) => ask("POST", url, JSON.stringify(value), { "Content-Type": "application/json" });

async function ask(method, url, body = null, headers = {}) {
  const sent = { Accept: "application/json", ...headers };
  if (method !== "GET") sent["X-CSRFToken"] = csrfToken();
  let answer, text;
  try {
    answer = await fetch(url, { method, headers: sent, body });
    text = await answer.text();
  } catch {
    throw new Refusal({ method });
  }
  const refusal = answer.ok ? null : Refusal.from(answer.status, text, method);
  noteAnswer(answer.status, refusal?.code);
  if (refusal) throw refusal;
  return parsed(text);
}
