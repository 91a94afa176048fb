// The input of the filter, and the texts of empty lists.

function filter() {
  const field = byId("filter");
  let error = "";
  try {
    state.filter = parseFilter(field.value);
    refilter();
  } catch (wrong) {
    error = `${wrong.message}. ${state.filter.text ? `In force is ${state.filter.text}.` : "No filter is in force."}`;
  }
  byId("filter-error").textContent = error;
  if (error) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
  sayChoices();
  const at = state.shown.indexOf(state.frame);
  if (at >= 0) rows.frames.reveal(at);
}

function clearFilter() {
  byId("filter").value = "";
  filter();
}

byId("filter").addEventListener("input", filter);
byId("filter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("frames").focus();
});

const choices = [["types", "type"], ["statuses", "status"]];

for (const [id, key] of choices) {
  byId(id).addEventListener("change", (event) => {
    byId("filter").value = withTerm(byId("filter").value, key, event.target.value);
    filter();
  });
}

/** Offers the types and outcomes that there are. */
function offer() {
  for (const [id] of choices) {
    const [select, values] = [byId(id), state.capture[id]];
    if (select.options.length === values.size + 1) continue;
    select.replaceChildren(select.options[0], ...[...values].sort().map((value) => make("option", { value }, value)));
  }
  sayChoices();
}

/** The lists of types and outcomes say what the filter in force does. */
function sayChoices() {
  for (const [id, key] of choices) {
    const wanted = valueOf(state.filter.text, key);
    const option = [...byId(id).options].find(({ value }) => value.toLowerCase().replaceAll(" ", "_") === wanted);
    byId(id).value = option?.value ?? "";
  }
}

byId("filter-hints").append(...["stream=1", "method~", "status!=OK", "type=HEADERS,DATA", "from=client", "fault"].map((value) => make("option", { value })));

// ---- empty lists

/** Says why a pane is empty, and what can be done. */
function note() {
  const { capture, filter, call, calls, shown } = state;
  const clear = ["Clear the filter", clearFilter];
  const named = make("code", {}, filter.text);
  put("calls-note", !calls.length && (capture.calls.length ? ["No call passes the filter ", named, ".", clear] : [withoutCalls()]));
  const which = ["No frame ", call ? "of this call " : "", "passes the filter ", named.cloneNode(true), ".", clear];
  if (call) which.push(["Frames of all calls", () => selectCall(undefined)]);
  put("frames-note", !shown.length && (capture.frames.length ? which : ["No frame has passed."]));
  put("hex-note", !state.open && ["The bytes of the frame that is selected, in the colours of their layers."]);
  put("tree-note", !state.open && ["What each of them means, and the rule that says so."]);
}

function withoutCalls() {
  if (waiting.length) return "Reading…";
  if (live === "over" && state.listening) return "The tap has ended, and no call passed.";
  if (live === "live" || live === "connecting") return state.listening ? `Waiting for calls at ${state.listening}.` : "Waiting for calls.";
  return "No call is in this capture.";
}

/** Fills a note with words and buttons; only if they are others, so that nobody is told twice. */
function put(id, parts) {
  const element = byId(id);
  const words = (parts || []).filter(Boolean).map((part) => (Array.isArray(part) ? part[0] : part.textContent ?? part)).join("");
  if (element.dataset.words === words) return;
  element.dataset.words = words;
  element.hidden = !words;
  element.replaceChildren(...(parts || []).filter(Boolean).map((part) => (Array.isArray(part) ? make("button", { type: "button", onclick: part[1] }, part[0]) : part)));
}
