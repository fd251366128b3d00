// Requests of this page to its server. Every failure becomes a RequestError.

import { isOurs, proxyText } from "../responses.js";
import { fill } from "./formatting.js";

export class RequestError extends Error {
  // `status` is 0 if there was no response. `fields` are messages by form field. `transfer` is the one in the way of a new one.
  // `proxy` describes a response that is not Partway's: {status, server, isRedirect}. `retryAfter`: the seconds after which the
  // request can be repeated, 0 if the response has none.
  constructor({ status = 0, code = "", message = "", requestId = "", method = "", ...facts }) {
    const { fields = null, transfer = null, proxy = null, retryAfter = 0 } = facts;
    super((proxy && proxyText(proxy)) || message || fallbackMessage(status));
    Object.assign(this, { status, code, requestId, fields, transfer, method, proxy, retryAfter });
  }

  // `header(name)` gives a header of the response.
  static from({ status, header, text, method, isRedirect = false }) {
    const retryAfter = secondsIn(header("Retry-After"));
    if (isRedirect || !isOurs(header, text))
      return new RequestError({ status, method, proxy: { status, server: header("Server"), isRedirect }, retryAfter });
    const response = parsed(text) || {};
    const { code = "", message = "", request_id: requestId = "" } = response.error || {};
    const { fields = null, transfer = null } = response;
    return new RequestError({ status, code, message, requestId, fields, transfer, method, retryAfter });
  }
}

const LONGEST_WAIT = 300;

// Of a header that a proxy may have changed to anything.
const secondsIn = (text) => (/^\d{1,9}$/.test(text || "") ? Math.min(Number(text), LONGEST_WAIT) : 0);

function fallbackMessage(status) {
  if (!status) return gettext("Partway cannot be reached.");
  return fill(gettext("Partway sent an unexpected response (status %(status)s)."), { status: String(status) });
}

// What the last response reported: that the session has ended, or what a proxy did instead of Partway.
export const session = { hasEnded: false, proxyText: "" };

export const SESSION_CODES = new Set(["CsrfFailed", "CsrfCookieMissing"]);

// `error` is null if Partway has accepted the request.
export function noteResponse(error) {
  session.proxyText = error?.proxy ? error.message : "";
  if (!error?.proxy) session.hasEnded = error?.status === 401 || SESSION_CODES.has(error?.code);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// The cookie first: signing in again in another tab changes the token, and the one in this page is old then.
export function csrfToken() {
  const start = `${document.documentElement.dataset.csrfCookie}=`;
  const cookie = document.cookie.split("; ").find((each) => each.startsWith(start));
  return cookie ? cookie.slice(start.length) : document.querySelector("[name=csrfmiddlewaretoken]").value;
}

export const getJson = (url) => send("GET", url);

// An open page is no activity: it does not keep the session of its operator. What it sends does.
export const pollJson = (url) => send("GET", url, null, { "Partway-Background": "1" });

export const post = (url, body = null) => send("POST", url, body);

export const postJson = (url, value) => send("POST", url, JSON.stringify(value), { "Content-Type": "application/json" });

async function send(method, url, body = null, moreHeaders = {}) {
  const headers = { Accept: "application/json", ...moreHeaders };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  let response, text;
  try {
    response = await fetch(url, { method, headers, body, redirect: "manual" });
    text = await response.text();
  } catch {
    throw new RequestError({ method });
  }
  const result = response.status === 204 ? {} : response.ok && parsed(text);
  // A success without JSON is a page of a proxy, and so is a redirect, whose status and headers are hidden from scripts.
  const isRedirect = response.type === "opaqueredirect";
  const header = (name) => response.headers.get(name);
  const isSuccess = result && isOurs(header, text, true);
  const error = isSuccess ? null : RequestError.from({ status: response.status, header, text, method, isRedirect });
  noteResponse(error);
  if (error) throw error;
  return result;
}
