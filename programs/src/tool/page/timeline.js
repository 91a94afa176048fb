// The timeline: a bar for each call on one axis, with marks for the selected frame and the frame under the pointer.

/** From the first of the calls to the end of the last: a program may have waited for them long. */
function axisOf(calls, end) {
  let [begin, until] = [Infinity, -Infinity];
  for (const call of calls) {
    begin = Math.min(begin, call.began);
    until = Math.max(until, call.ended ?? end);
  }
  return { begin, length: until - begin || 1 };
}

const placeOf = (time, { begin, length }) => clamp((time - begin) / length, 0, 1);

/** The track of a call. A bar is never so short that it is not seen, and never beyond the end. */
function trackOf(state, call) {
  const { axis, capture } = state;
  const [from, to] = [placeOf(call.began, axis), placeOf(call.ended ?? capture.end, axis)];
  const bar = make("i", { className: "bar" });
  bar.style.setProperty("--from", from);
  bar.style.setProperty("--part", to - from);
  const waits = call.waits.map((wait) => {
    const [from, to] = [placeOf(wait.begun, axis), placeOf(wait.ended ?? capture.end, axis)];
    const part = make("i", { className: "wait", title: wait.text });
    part.style.setProperty("--from", from);
    part.style.setProperty("--part", to - from);
    return part;
  });
  return make("span", { className: "track", title: "Click to go to the nearest frame" }, bar, ...waits, make("i", { className: "mark pointed" }), make("i", { className: "mark chosen" }));
}

/** Moves the marks, without drawing anything anew: on the track of the frame's own call, and faintly on the others. */
function drawTimes(state) {
  const list = byId("calls");
  for (const [mark, frame] of [["selected", state.frame], ["hover", state.pointed]]) {
    list.classList.toggle(`has-${mark}`, Boolean(frame) && state.calls.length > 0);
    if (frame) list.style.setProperty(`--${mark}-at`, placeOf(frame.time, state.axis));
    for (const row of list.querySelectorAll(".call-row")) {
      row.classList.toggle(`own-${mark}`, Boolean(frame?.call) && state.calls[row.dataset.index] === frame.call);
    }
  }
  for (const row of byId("frames").querySelectorAll(".frame-row")) {
    row.classList.toggle("hover", Boolean(state.pointed) && state.shown[row.dataset.index] === state.pointed);
  }
}

/** The call and the frame of it that stand nearest to where the pointer is on a track. */
function nearest(state, event) {
  const track = event.target.closest(".track");
  const call = track && state.calls[track.closest("[data-index]").dataset.index];
  if (!call) return {};
  const { left, width } = track.getBoundingClientRect();
  // The marks are as wide as the shortest bar, and stay inside.
  const time = state.axis.begin + clamp((event.clientX - left - 2) / (width - 4), 0, 1) * state.axis.length;
  const distance = (frame) => Math.abs(frame.time - time);
  let found;
  for (const frame of framesOf(state, call)) {
    if (!found || distance(frame) < distance(found)) found = frame;
  }
  return { call, frame: found };
}

/** The frames of a call that pass the filter; they are looked for once, as long as nothing changes. */
function framesOf(state, call) {
  const { capture, filter } = state;
  const known = framesOf.known;
  if (known?.call === call && known.filter === filter && known.count === capture.frames.length && known.dropped === capture.dropped) return known.frames;
  const frames = capture.frames.filter((frame) => frame.call === call && filter.frame(frame));
  framesOf.known = { call, filter, count: capture.frames.length, dropped: capture.dropped, frames };
  return frames;
}
