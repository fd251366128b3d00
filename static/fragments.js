// Reports responses to htmx that are not Partway's, and those of a Partway without its database, above the content of the page.
// A page of a proxy is never put into ours, and requests that are repeated, such as for progress, continue until Partway responds again.

import { isOurs, isPage, proxyText } from "./responses.js";

const notice = document.getElementById("line-problem");

function show(text) {
  notice.lastElementChild.textContent = text;
  notice.hidden = !text;
}

function textOf(xhr) {
  const header = (name) => xhr.getResponseHeader(name);
  const isExpected = xhr.status < 400 && !isPage(xhr.responseText);
  if (isOurs(header, xhr.responseText, isExpected)) return failureText(xhr);
  return proxyText({ status: xhr.status, server: header("Server") });
}

// Why Partway itself cannot respond now (templates/components/request_failed.html). The page keeps what it shows.
function failureText({ status, responseText }) {
  if (status < 400) return "";
  const failure = new DOMParser().parseFromString(responseText, "text/html").querySelector("[data-request-failed]");
  return failure ? failure.textContent.trim() : "";
}

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { xhr, pathInfo } = detail;
  let text = textOf(xhr);
  if (text && isElsewhere(xhr, pathInfo.finalRequestPath)) text = proxyText({ isRedirect: true });
  if (text) {
    detail.shouldSwap = false;
    detail.isError = true;
  }
  show(text);
});

const isElsewhere = (xhr, path) => new URL(xhr.responseURL).pathname !== new URL(path, location.href).pathname;

for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, async () => {
    if (await isRedirected()) show(proxyText({ isRedirect: true }));
  });
}

// A redirect to another host looks like a lost connection. Partway itself does not redirect requests for JSON.
async function isRedirected() {
  try {
    const options = { headers: { Accept: "application/json" }, redirect: "manual" };
    return (await fetch(location.href, options)).type === "opaqueredirect";
  } catch {
    return false;
  }
}
