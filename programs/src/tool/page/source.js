// The sources of frames: the page itself, a file, or the running program.

/** Lines that wait to be read, so many at a time that the page stays quick. */
const waiting = [];
let reading = 0;

/** Says something once: until the next capture, or until it is taken note of. */
function say(...words) {
  state.remark = words;
  tell();
}
byId("notice-close").addEventListener("click", () => say());

function take(lines) {
  for (const line of lines) waiting.push(line);
  if (!reading) reading = setTimeout(read, 0);
}

/** Reads lines for some milliseconds, shows what came of them, and goes on later if there are more. */
function read() {
  const { capture, filter } = state;
  const until = performance.now() + 24;
  const { endings } = capture;
  let place = 0;
  while (place < waiting.length && (place % 16 || performance.now() < until)) {
    const frame = capture.add(waiting[place]);
    if (frame && passes(frame) && (!state.call || frame.call === state.call)) state.shown.push(frame);
    place += 1;
  }
  waiting.splice(0, place);
  const gone = capture.trim();
  reading = waiting.length ? setTimeout(read, 0) : 0;
  // The end of a call decides if its earlier frames pass the filter.
  if (gone || (filter.asksForStatus && endings !== capture.endings)) {
    refilter();
  } else {
    listCalls();
    listFrames();
  }
  offer();
  tell();
  if (!state.frame) begun();
  if (state.follow && events && state.shown.length) rows.frames.reveal(state.shown.length - 1);
}

/** What is looked at first: the first frame of the first call, or of a capture without calls. */
function begun() {
  const frame = state.calls.length ? state.shown.find((one) => one.call) : undefined;
  if (frame) selectFrame(frame);
  else if (!waiting.length && (!live || live === "over")) selectFrame(state.shown[0]);
}

let live = false;

/** Says what is shown, and what is missing. */
function tell() {
  const { capture } = state;
  const { size } = capture.connections;
  const first = [...capture.connections.values()][0];
  const ends = first && (first.client || first.server) ? `${first.client ?? "?"} → ${first.server ?? "?"}${first.roles_guessed ? " (roles guessed from the port numbers)" : ""}` : "";
  byId("source").textContent = [state.name, size === 1 ? ends : size > 1 && `${size} connections`].filter(Boolean).join(" · ");
  const over = state.listening ? "the tap has ended" : "";
  byId("state").textContent = waiting.length ? `reading, ${count(waiting.length, "line")} to go` : live === "over" ? over : live || "";
  byId("state").className = live === "live" ? "live" : "";
  const lost = [...capture.connections.values()].reduce((sum, connection) => sum + (connection.lost ?? 0), 0);
  const missing = capture.dropped + (state.missed ?? 0) + lost;
  const words = [missing && `${count(missing, "older frame")} not kept.`, capture.unread && `${count(capture.unread, "line")} not understood.`, capture.limit && `${capture.limit[0].toUpperCase()}${capture.limit.slice(1)}.`];
  const said = state.remark ?? [];
  byId("notice-text").replaceChildren(...said, said.length ? " " : "", words.filter(Boolean).join(" "));
  byId("notice-close").hidden = !said.length;
  byId("notice").hidden = !byId("notice-text").textContent.trim();
  byId("live").hidden = Boolean(live) || !document.body.dataset.events;
  const empty = !capture.frames.length && !live && !waiting.length;
  byId("empty").hidden = !empty;
  document.querySelector("main").hidden = empty;
  note();
}

function begin(name) {
  waiting.length = 0;
  Object.assign(state, { capture: new Capture(), shown: [], calls: [], call: undefined, hidden: undefined, pointed: undefined, frame: undefined, open: undefined, node: undefined, byte: undefined, hover: undefined, name, missed: 0, remark: undefined });
  refilter();
  drawOpen();
  byId("hex-count").textContent = "";
}

// ---- a file

async function openFile(file) {
  if (!file) return;
  const wrong = await unreadable(file);
  if (wrong) return say(...wrong);
  stop();
  begin(file.name);
  let rest = "";
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const lines = (rest + piece.value).split("\n");
    rest = lines.pop();
    take(lines.filter(Boolean));
    // Reading waits for the page, so that a large file is not in memory twice.
    while (waiting.length > 20000) await new Promise((done) => setTimeout(done, 10));
  }
  take(rest ? [rest] : []);
}

const PACKETS = { "0a0d0d0a": "pcapng", a1b2c3d4: "pcap", d4c3b2a1: "pcap", a1b23c4d: "pcap", "4d3cb2a1": "pcap" };

/** What to say of a file that the page can't read. */
async function unreadable(file) {
  const begins = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  if (!begins.length) return [`${file.name} is empty.`];
  const magic = [...begins.slice(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const code = (text) => make("code", {}, text);
  if (Object.hasOwn(PACKETS, magic)) {
    return [`${file.name} is a ${PACKETS[magic]}, which the program reads: `, code(`barewire decode ${file.name} --html page.html`), " makes a page of it, ", code("--web"), " shows it."];
  }
  // The first line may be longer than this excerpt.
  const [line = ""] = new TextDecoder().decode(begins).split("\n").filter((one) => one.trim());
  if (line.trim().startsWith("{") && line.includes('"record"')) return undefined;
  return [`${file.name} is no capture that the page can read: those are JSON lines, as `, code("--jsonl FILE"), " writes them."];
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
  events.addEventListener("listening", (event) => { state.listening = event.data; tell(); });
  // The program was restarted: the frames here belong to the earlier one.
  events.addEventListener("begin", (event) => {
    if (state.session && state.session !== event.data) begin("");
    state.session = event.data;
  });
  events.addEventListener("missed", (event) => { state.missed = (state.missed ?? 0) + Number(event.data); tell(); });
  events.addEventListener("over", () => { events.close(); live = "over"; byId("follow").hidden = true; tell(); });
  byId("follow").hidden = false;
  tell();
}

byId("live").addEventListener("click", () => {
  begin("");
  listen(document.body.dataset.events);
});

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
// A reader who has scrolled away from the newest frame stays there.
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
