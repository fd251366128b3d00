// The form of a new transfer where JavaScript runs: the plan and the key's present object while typing, progress while
// the bytes move. Without it the form is sent as it stands.
(() => {
  const form = document.getElementById("transfer-form");
  if (!form) return;
  const $ = (id) => document.getElementById(id);
  const field = (name) => form.elements.namedItem(name);
  const fileInput = $("id_file");
  const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  const SAMPLE_SECONDS = 8; // The rate is an average over this time.
  let sending = null;

  // --- Words ----------------------------------------------------------------------------------------------------------

  function bytesText(size) {
    if (size < 1024) return size === 1 ? "1 byte" : `${size} bytes`;
    let value = size;
    let unit = -1;
    do {
      value /= 1024;
      unit += 1;
    } while (value >= 999.5 && unit < UNITS.length - 1);
    return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
  }

  function durationText(seconds) {
    const rest = Math.max(1, Math.round(seconds));
    const amounts = [
      [Math.floor(rest / 86400), "d"],
      [Math.floor(rest / 3600) % 24, "h"],
      [Math.floor(rest / 60) % 60, "min"],
      [rest % 60, "s"],
    ];
    const shown = amounts.filter(([count]) => count).slice(0, 2);
    return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
  }

  const file = () => fileInput.files[0] || null;
  const key = () => field("key").value || (file() ? field("prefix").value + file().name : "");

  // --- What is asked while typing ---------------------------------------------------------------------------------------

  // Ask for a fragment a moment after the last change; an answer that was overtaken is dropped.
  function asker(target, delay, address) {
    let timer = 0;
    let request = null;
    let last = "";
    return (again) => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const url = address();
        if (!url || (url === last && !again)) return;
        last = url;
        if (request) request.abort();
        request = new AbortController();
        try {
          const answer = await fetch(url, { signal: request.signal, headers: { "HX-Request": "true" } });
          if (answer.headers.get("HX-Refresh")) location.reload();
          if (answer.ok) $(target).innerHTML = await answer.text();
        } catch (error) {
          if (error.name !== "AbortError") last = "";
        }
      }, delay);
    };
  }

  const askPlan = asker("plan", 250, () => {
    const query = new URLSearchParams({ store: field("store").value });
    if (file()) query.set("size", file().size);
    for (const name of ["part-size", "part-count"]) query.set(name, field(name).value);
    return `${form.dataset.plan}?${query}`;
  });

  const askExisting = asker("existing", 450, () => {
    const query = new URLSearchParams({ store: field("store").value, bucket: field("bucket").value.trim(), key: key() });
    return `${form.dataset.existing}?${query}`;
  });

  function showKey() {
    const bucket = field("bucket").value.trim();
    $("key-preview").textContent = key() ? `${bucket || "…"} / ${key()}` : "…";
  }

  function onFile() {
    const chosen = file();
    field("filename").value = chosen ? chosen.name : "";
    const type = field("content-type");
    if (!type.value || type.value === type.dataset.guessed) {
      type.dataset.guessed = chosen ? chosen.type : "";
      type.value = type.dataset.guessed;
    }
  }

  form.addEventListener("input", (event) => {
    if (event.target === fileInput) onFile();
    if (event.target.name !== "replace") clearError(event.target.name);
    showKey();
    if (["store", "part-size", "part-count", "file"].includes(event.target.name)) askPlan(false);
    if (["store", "bucket", "prefix", "key", "file"].includes(event.target.name)) askExisting(false);
  });

  // --- Errors -----------------------------------------------------------------------------------------------------------

  function errorElement(control) {
    const id = `${control.id}_error`;
    const found = $(id);
    if (found) return found;
    const element = document.createElement("div");
    element.className = "field-error";
    element.id = id;
    const holder = control.closest(".form-check") || control;
    holder.insertAdjacentElement("afterend", element);
    const described = control.getAttribute("aria-describedby") || "";
    control.setAttribute("aria-describedby", `${described} ${id}`.trim());
    return element;
  }

  function clearError(name) {
    const control = name && field(name);
    if (!control || !control.id) return;
    control.removeAttribute("aria-invalid");
    const shown = $(`${control.id}_error`);
    if (shown) shown.remove();
  }

  function clearErrors() {
    $("form-errors").replaceChildren();
    for (const control of [...form.elements]) clearError(control.name);
  }

  function showGeneral(message) {
    const alert = document.createElement("div");
    const text = document.createElement("div");
    alert.className = "alert alert-danger";
    text.textContent = message;
    alert.append(text);
    $("form-errors").replaceChildren(alert);
  }

  // Each message stands at its field, the others above; the first field in question is focused.
  function showErrors(message, fields) {
    const unplaced = [];
    let first = null;
    for (const [name, text] of Object.entries(fields || {})) {
      const control = name && field(name);
      if (!control || control.type === "hidden") {
        unplaced.push(text);
        continue;
      }
      errorElement(control).textContent = text;
      control.setAttribute("aria-invalid", "true");
      first = first || control;
    }
    showGeneral(unplaced.join(" ") || message);
    (first || $("form-errors")).focus();
    (first || $("form-errors")).scrollIntoView({ block: "center" });
    if (fields && "replace" in fields && !field("replace")) askExisting(true);
  }

  // --- Sending ----------------------------------------------------------------------------------------------------------

  function warn(event) {
    event.preventDefault();
  }

  function showSending(on) {
    $("choosing").hidden = on;
    $("sending").hidden = !on;
    for (const set of form.querySelectorAll("fieldset")) set.disabled = on;
    if (on) window.addEventListener("beforeunload", warn);
    else window.removeEventListener("beforeunload", warn);
    if (!on) document.title = sending.title;
  }

  function say(text) {
    if ($("sent-announcement").textContent !== text) $("sent-announcement").textContent = text;
  }

  function rate(loaded) {
    const now = performance.now() / 1000;
    sending.samples.push([now, loaded]);
    while (sending.samples.length > 2 && now - sending.samples[0][0] > SAMPLE_SECONDS) sending.samples.shift();
    const [since, before] = sending.samples[0];
    return now - since > 0.4 ? (loaded - before) / (now - since) : 0;
  }

  function onProgress(event) {
    const percent = Math.floor((event.loaded * 100) / event.total);
    const perSecond = rate(event.loaded);
    $("sent-bar").max = event.total;
    $("sent-bar").value = event.loaded;
    $("sent-percent").textContent = `${percent} %`;
    $("sent-bytes").textContent = `${bytesText(event.loaded)} of ${bytesText(event.total)}`;
    const left = perSecond ? ` · about ${durationText((event.total - event.loaded) / perSecond)} left` : "";
    $("sent-rate").textContent = perSecond ? `${bytesText(Math.round(perSecond))}/s${left}` : "";
    document.title = `${percent} % · ${file().name} · Partway`;
    say(`${Math.floor(percent / 25) * 25} % received`);
  }

  function onSent() {
    $("sent-rate").textContent = "all bytes are sent, waiting for the answer";
  }

  function answerOf(request) {
    try {
      return JSON.parse(request.responseText);
    } catch {
      return {};
    }
  }

  function onAnswer(request) {
    const answer = answerOf(request);
    showSending(false);
    if (request.status === 201 && answer.url) {
      showSending(true);
      window.removeEventListener("beforeunload", warn);
      location.assign(answer.url);
      return;
    }
    const words = (answer.error && answer.error.message) || `The answer was not understood (status ${request.status}).`;
    showErrors(words, answer.fields);
    if (answer.fields && "replace" in answer.fields) askExisting(true);
  }

  function stopWith(message) {
    showSending(false);
    say(message);
    showGeneral(message);
    $("form-errors").scrollIntoView({ block: "center" });
  }

  // The fields go as they stand in the page, so the file is last: the server checks the others before its first byte.
  function send(body) {
    const request = new XMLHttpRequest();
    sending = { request, samples: [], title: document.title };
    request.upload.addEventListener("progress", onProgress);
    request.upload.addEventListener("load", onSent);
    request.addEventListener("load", () => onAnswer(request));
    request.addEventListener("error", () =>
      stopWith("The connection was lost before all bytes were here. What had arrived is removed; send the file again."),
    );
    request.addEventListener("abort", () => stopWith("Cancelled. What had arrived is removed."));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", field("csrfmiddlewaretoken").value);
    showSending(true);
    onProgress({ loaded: 0, total: Math.max(1, file().size) });
    $("stop").focus();
    request.send(body);
  }

  // Everything but the file, before the file: a refusal then costs nothing.
  async function check(body) {
    const fields = new FormData();
    for (const [name, value] of body) if (name !== "file") fields.append(name, value);
    fields.append("size", file().size);
    const headers = { Accept: "application/json", "X-CSRFToken": field("csrfmiddlewaretoken").value };
    const answer = await fetch(form.dataset.check, { method: "POST", body: fields, headers });
    if (answer.status === 204) return true;
    const refusal = await answer.json().catch(() => ({}));
    showErrors((refusal.error && refusal.error.message) || `The form was refused (status ${answer.status}).`, refusal.fields);
    return false;
  }

  async function onSubmit(event) {
    event.preventDefault();
    clearErrors();
    if (!file()) {
      showErrors("Some fields need another value.", { file: "Choose a file." });
      return;
    }
    field("filename").value = file().name;
    const body = new FormData(form);
    $("send").disabled = true;
    try {
      if (await check(body)) send(body);
    } catch {
      showGeneral("Partway cannot be reached. Nothing was sent; try again in a moment.");
    } finally {
      $("send").disabled = false;
    }
  }

  form.addEventListener("submit", onSubmit);
  $("stop").addEventListener("click", () => sending && sending.request.abort());
  // A form that the browser filled in again (back, reload) is in step with what is shown.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && sending) showSending(false);
    onFile();
    showKey();
    askPlan(false);
    askExisting(false);
  });
})();
