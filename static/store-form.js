// The form of a store: the chosen provider's ways, its defaults where nothing else was typed, and the test's result.

const form = document.querySelector("#store-form");
const panels = [...form.querySelectorAll("[data-provider]")];
const field = (name) => form.elements.namedItem(name);
const region = field("region");
const endpoint = field("endpoint_url");

// Fields that hold what somebody typed; the others are ours to fill in.
const typed = new Set();

const ways = () => panels.find((panel) => panel.dataset.provider === field("provider").value);

// The endpoint as the region makes it; "" where only the operator knows it. What is no part of a host name makes none.
function madeEndpoint({ dataset }, name) {
  const usable = "made" in dataset && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name);
  return usable ? dataset.endpoint.replace("REGION", name) : "";
}

function fill(input, value, placeholder) {
  input.placeholder = placeholder;
  if (!typed.has(input)) input.value = value;
}

function nameDefault(select, words) {
  select.options[0].textContent = form.dataset.asProvider + words;
}

function origin(url) {
  return URL.canParse(url) ? new URL(url).origin : url;
}

// A stored secret goes to no other address than it was entered for.
function showMoved() {
  const stored = form.dataset.storedEndpoint;
  document.querySelector("#moved").hidden = stored === undefined || origin(endpoint.value.trim()) === origin(stored);
}

function refresh() {
  const chosen = ways();
  for (const panel of panels) panel.hidden = panel !== chosen;
  fill(region, chosen.dataset.region, chosen.dataset.region);
  fill(endpoint, madeEndpoint(chosen, region.value.trim() || chosen.dataset.region), chosen.dataset.endpoint);
  nameDefault(field("addressing"), chosen.dataset.addressing);
  nameDefault(field("signature"), chosen.dataset.signature);
  showMoved();
}

// What stands there when the page comes and is not what we would fill in was typed, here or when the store was saved.
function noticeTyped() {
  const chosen = ways();
  const name = region.value.trim() || chosen.dataset.region;
  if (region.value && region.value !== chosen.dataset.region) typed.add(region);
  if (endpoint.value && endpoint.value !== madeEndpoint(chosen, name)) typed.add(endpoint);
}

form.addEventListener("input", ({ target }) => {
  if (target !== region && target !== endpoint) return;
  if (target.value) typed.add(target);
  else typed.delete(target);
  if (target === region) fill(endpoint, madeEndpoint(ways(), region.value.trim()), endpoint.placeholder);
  showMoved();
});

// Emptied fields are filled in again once they are left.
form.addEventListener("change", refresh);

document.body.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "trial") detail.target.scrollIntoView({ block: "nearest" });
});

for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.body.addEventListener(failure, ({ detail }) => {
    if (detail.target.id !== "trial") return;
    const status = detail.xhr.status ? ` (status ${detail.xhr.status})` : "";
    detail.target.textContent = `The test did not get through to this site${status}. Nothing was saved; try again.`;
  });
}

noticeTyped();
refresh();
