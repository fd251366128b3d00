// Requests of this page to its server. Every failure becomes a RequestError.

import { fill } from "./formatting.js";

export class RequestError extends Error {
  // `status` is 0 if there was no response. `fields` are messages by form field.
  constructor({ status = 0, code = "", message = "", requestId = "", fields = null, method = "" }) {
    super(message || fallbackMessage(status));
    Object.assign(this, { status, code, requestId, fields, method });
  }

  static from(status, text, method) {
    const response = parsed(text);
    const { code = "", message = "", request_id: requestId = "" } = response.error || {};
    return new RequestError({ status, code, message, requestId, fields: response.fields || null, method });
  }
}

function fallbackMessage(status) {
  if (!status) return gettext("Partway cannot be reached.");
  return fill(gettext("Partway sent an unexpected response (status %(status)s)."), { status: String(status) });
}

// Whether the last response reported that the session has ended.
export const session = { hasEnded: false };

export function noteResponse(status, code = "") {
  if (status) session.hasEnded = status === 401 || code === "CsrfFailed";
}

function parsed(text) {
  try {
    return JSON.parse(text) || {};
  } catch {
    return {}; // A proxy sends HTML.
  }
}

// The cookie first: signing in again in another tab changes the token, and the one in this page is old then.
export function csrfToken() {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
  return cookie ? cookie.slice("csrftoken=".length) : document.querySelector("[name=csrfmiddlewaretoken]").value;
}

export const getJson = (url) => send("GET", url);

export const post = (url, body = null) => send("POST", url, body);

export const postJson = (url, value) => send("POST", url, JSON.stringify(value), { "Content-Type": "application/json" });

async function send(method, url, body = null, moreHeaders = {}) {
  const headers = { Accept: "application/json", ...moreHeaders };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  let response, text;
  try {
    response = await fetch(url, { method, headers, body });
    text = await response.text();
  } catch {
    throw new RequestError({ method });
  }
  const error = response.ok ? null : RequestError.from(response.status, text, method);
  noteResponse(response.status, error?.code);
  if (error) throw error;
  return parsed(text);
}
