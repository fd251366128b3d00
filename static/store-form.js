// The form of a store: the selected provider's profile, its defaults in fields that have not been edited, and the test's result.

const form = document.querySelector("#store-form");
const panels = [...form.querySelectorAll("[data-provider]")];
const field = (name) => form.elements.namedItem(name);
const region = field("region");
const endpoint = field("endpoint_url");

// Fields that somebody has edited. The script fills in the others.
const edited = new Set();

const chosenPanel = () => panels.find((panel) => panel.dataset.provider === field("provider").value);

// The endpoint that follows from the region; "" if none does, or if the region cannot be part of a host name.
function endpointFor({ dataset }, name) {
  const usable = "made" in dataset && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name);
  return usable ? dataset.endpoint.replace("REGION", name) : "";
}

function fill(input, value, placeholder) {
  input.placeholder = placeholder;
  if (!edited.has(input)) input.value = value;
}

function nameDefault(select, value) {
  select.options[0].textContent = interpolate(form.dataset.asProvider, { default: value }, true);
}

function origin(url) {
  return URL.canParse(url) ? new URL(url).origin : url;
}

// A stored secret is never sent to an address that it was not entered for.
function showMoved() {
  const stored = form.dataset.storedEndpoint;
  document.querySelector("#moved").hidden = stored === undefined || origin(endpoint.value.trim()) === origin(stored);
}

function refresh() {
  const chosen = chosenPanel();
  for (const panel of panels) panel.hidden = panel !== chosen;
  fill(region, chosen.dataset.region, chosen.dataset.region);
  fill(endpoint, endpointFor(chosen, region.value.trim() || chosen.dataset.region), chosen.dataset.endpoint);
  nameDefault(field("addressing"), chosen.dataset.addressing);
  nameDefault(field("signature"), chosen.dataset.signature);
  showMoved();
}

// A value that is on the page at first and that the script would not fill in was entered by somebody.
function noticeEdited() {
  const chosen = chosenPanel();
  const name = region.value.trim() || chosen.dataset.region;
  if (region.value && region.value !== chosen.dataset.region) edited.add(region);
  if (endpoint.value && endpoint.value !== endpointFor(chosen, name)) edited.add(endpoint);
}

form.addEventListener("input", ({ target }) => {
  if (target !== region && target !== endpoint) return;
  if (target.value) edited.add(target);
  else edited.delete(target);
  if (target === region) fill(endpoint, endpointFor(chosenPanel(), region.value.trim()), endpoint.placeholder);
  showMoved();
});

// Emptied fields are filled in again when they lose the focus.
form.addEventListener("change", refresh);

document.body.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "connection-test") detail.target.scrollIntoView({ block: "nearest" });
});

for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.body.addEventListener(failure, ({ detail }) => {
    if (detail.target.id !== "connection-test") return;
    const { status } = detail.xhr;
    const text = status
      ? gettext("The test has no result (status %(status)s). Nothing was saved. Try again.")
      : gettext("The test did not reach this site. Nothing was saved. Try again.");
    detail.target.textContent = interpolate(text, { status }, true);
  });
}

noticeEdited();
refresh();
