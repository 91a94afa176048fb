// Where frames come from: the page itself, a file, or the program while calls run.

/** Lines that wait to be read, so many at a time that the page stays quick. */
const waiting = [];
let reading = 0;

function say(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function take(lines) {
  for (const line of lines) waiting.push(line);
  if (!reading) reading = setTimeout(read, 0);
}

/** Reads lines for some milliseconds, shows what came of them, and goes on later if there are more. */
function read() {
  const { capture } = state;
  const until = performance.now() + 24;
  let place = 0;
  while (place < waiting.length && (place % 16 || performance.now() < until)) {
    const frame = capture.add(waiting[place]);
    if (frame && isShown(frame)) state.shown.push(frame);
    place += 1;
  }
  waiting.splice(0, place);
  const gone = capture.trim();
  reading = waiting.length ? setTimeout(read, 0) : 0;
  if (gone) refilter();
  else listFrames();
  listCalls();
  offer();
  tell();
  if (!state.frame && state.shown.length) selectFrame(state.shown[0]);
  if (state.follow && events && state.shown.length) rows.frames.reveal(state.shown.length - 1);
}

let live = false;

/** Says what is shown, and what is missing. */
function tell() {
  const { capture } = state;
  const { size } = capture.connections;
  const first = [...capture.connections.values()][0];
  const ends = first && (first.client || first.server) ? `${first.client ?? "?"} → ${first.server ?? "?"}` : "";
  byId("source").textContent = [state.name, size === 1 ? ends : size > 1 && `${size} connections`].filter(Boolean).join(" · ");
  byId("state").textContent = waiting.length ? `reading, ${count(waiting.length, "line")} to go` : live === "over" ? "" : live || "";
  byId("state").className = live === "live" ? "live" : "";
  const lost = [...capture.connections.values()].reduce((sum, connection) => sum + (connection.lost ?? 0), 0);
  const missing = capture.dropped + (state.missed ?? 0) + lost;
  const words = [missing && `${count(missing, "older frame")} not kept.`, capture.unread && `${count(capture.unread, "line")} not understood.`];
  say(words.filter(Boolean).join(" "));
  byId("empty").hidden = capture.frames.length > 0 || Boolean(live) || waiting.length > 0;
}

function begin(name) {
  waiting.length = 0;
  Object.assign(state, { capture: new Capture(), shown: [], call: undefined, frame: undefined, open: undefined, node: undefined, byte: undefined, hover: undefined, name, missed: 0 });
  drawOpen();
  byId("hex-count").textContent = "";
}

// ---- a file

async function openFile(file) {
  if (!file) return;
  stop();
  begin(file.name);
  let rest = "";
  let size = 0;
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    size += piece.value.length;
    const lines = (rest + piece.value).split("\n");
    rest = lines.pop();
    take(lines.filter(Boolean));
    // What is read waits for the page, so that a large file is not in memory twice.
    while (waiting.length > 20000) await new Promise((done) => setTimeout(done, 10));
  }
  take(rest ? [rest] : []);
  if (size === 0) say(`${file.name} is empty.`);
}

byId("open").addEventListener("click", () => byId("file").click());
byId("open-empty").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => {
  openFile(event.target.files[0]);
  event.target.value = "";
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("drop");
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("drop"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("drop");
  openFile(event.dataTransfer.files[0]);
});

function save() {
  const text = state.capture.lines().join("\n") + "\n";
  const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  make("a", { href: url, download: "barewire.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
byId("save").addEventListener("click", save);

// ---- the program

let events;

function listen(address) {
  events = new EventSource(address);
  live = "connecting";
  events.onopen = () => { live = "live"; tell(); };
  events.onerror = () => { live = "the program does not answer"; tell(); };
  events.onmessage = (event) => take([event.data]);
  // The program was started anew: what is here belongs to the one before.
  events.addEventListener("begin", (event) => {
    if (state.session && state.session !== event.data) begin("");
    state.session = event.data;
  });
  events.addEventListener("missed", (event) => { state.missed = (state.missed ?? 0) + Number(event.data); tell(); });
  events.addEventListener("over", () => { events.close(); live = "over"; byId("follow").hidden = true; tell(); });
  byId("follow").hidden = false;
  tell();
}

function stop() {
  events?.close();
  events = undefined;
  live = false;
  byId("follow").hidden = true;
}

function follow(on) {
  state.follow = on;
  byId("follow").setAttribute("aria-pressed", String(on));
  if (on && events && state.shown.length) rows.frames.reveal(state.shown.length - 1);
}
byId("follow").addEventListener("click", () => follow(!state.follow));
// Whoever looks at something else than the newest wants it to stay.
byId("frames").addEventListener("wheel", (event) => event.deltaY < 0 && follow(false), { passive: true });

const inside = byId("capture");
if (inside) {
  begin(inside.dataset.name);
  take(inside.textContent.split("\n").filter((line) => line.trim()));
  inside.remove();
} else if (document.body.dataset.events) {
  listen(document.body.dataset.events);
}
tell();
byId("calls").focus({ preventScroll: true });
