// Whose response it is: that of Partway, or that of a proxy between this browser and Partway. Proxies refuse requests, ask to
// sign in, or respond themselves while Partway restarts, usually with an HTML page.

// In each response of Partway, unless a proxy removes headers that it does not know.
const MARK = "Partway-Response";
// In each page of Partway (templates/base.html, error_alone.html).
const PAGE_MARK = '<meta name="application-name" content="Partway">';

// How the statuses of proxies are explained.
const HINTS = {
  403: () => gettext("It does not allow this request."),
  405: () => gettext("It does not allow the method of this request."),
  501: () => gettext("It does not allow the method of this request."),
  401: () => gettext("It wants you to sign in: do so in another tab."),
  413: () => gettext("Its limit for request bodies is too low (nginx: client_max_body_size)."),
  431: () => gettext("Its limit for request headers is too low (nginx: large_client_header_buffers)."),
  502: () => gettext("It does not reach Partway, which may be restarting."),
  503: () => gettext("It does not reach Partway, which may be restarting."),
  504: () => gettext("Partway did not respond to it in time."),
};
const PASSING = new Set([401, 404, 407, 408, 425, 429]);

// Whether a body is a whole HTML page, and not one of the fragments that Partway's pages request.
export const isPage = (text) => /^\s*<(?:!doctype|html)/i.test(text);

let hasMarks = false; // Whether marks reach this page. Then a response without one is not Partway's.

// `header(name)` gives a header of the response. `isExpected`: its content looks like what was requested.
export function isOurs(header, text, isExpected = false) {
  if (header(MARK)) hasMarks = true;
  // The web server itself, without a proxy, refuses what is no valid HTTP.
  if (hasMarks) return Boolean(header(MARK)) || header("Server") === "partway";
  return isExpected || Boolean(header("Tus-Resumable")) || text.includes(PAGE_MARK) || hasOurError(text);
}

function hasOurError(text) {
  try {
    return Boolean(JSON.parse(text)?.error?.code);
  } catch {
    return false;
  }
}

// What a person reads about the response of a proxy. `isRedirect`: it leads somewhere else, such as to a login page.
export function proxyText({ status, server, isRedirect }) {
  if (isRedirect) {
    return gettext(
      "A proxy in front of Partway redirects requests to another page, probably to sign in. Sign in there, in another tab.",
    );
  }
  const values = { status: String(status), server };
  const source = server
    ? gettext("The response came from a proxy, not from Partway (status %(status)s, server %(server)s).")
    : gettext("The response came from a proxy, not from Partway (status %(status)s).");
  const text = interpolate(source, values, true);
  const hint = status < 300 ? HINTS[401] : HINTS[status];
  return hint ? `${text} ${hint()}` : text;
}

// Whether a proxy may let the same request pass later: it wants a login, is busy, or does not reach Partway.
export function isPassing({ status, isRedirect }) {
  return isRedirect || status < 400 || PASSING.has(status) || (status >= 500 && status !== 501);
}
