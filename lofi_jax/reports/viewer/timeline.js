// A video's rows over one time axis, with the playhead across them.

const NARROWEST = 7; // pixels of a bar
const LETTER = 15; // pixels from which a bar has the letter of its kind
const READABLE = 46; // and its text
const DRAG = 4; // pixels from which a press is a drag

/** Makes the timeline. `on.play(segment, row)` is called at a click on a bar, `on.seek(time)` and
 *  `on.sought()` while and after dragging. */
function makeTimeline(data, on) {
  const axis = make("div", { className: "axis", "aria-hidden": "true" });
  const rows = make("div", { className: "rows" });
  const playhead = make("div", { className: "playhead", "aria-hidden": "true" });
  const inner = make("div", { className: "inner" }, axis, rows, playhead);
  const scroll = make("div", { className: "timeline", tabIndex: -1 }, inner);
  let duration = 1, across = 600, zoom = 1, pressed = null, dragged = false, drawn = null, chosen = null;

  const timeAt = (event) => {
    const box = inner.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(Math.max(share, 0), 1) * duration;
  };
  inner.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragged = false;
    const onBar = event.target.closest(".bar");
    // On a touch screen a finger that begins on a bar may scroll the page: axis and gaps seek.
    if (onBar && event.pointerType === "touch") return;
    pressed = { x: event.clientX, id: event.pointerId, onBar };
    if (!onBar) on.seek(timeAt(event));
  });
  inner.addEventListener("pointermove", (event) => {
    if (!pressed || event.pointerId !== pressed.id) return;
    if (!dragged && Math.abs(event.clientX - pressed.x) < DRAG) return;
    if (!dragged) inner.setPointerCapture(event.pointerId);
    dragged = true;
    on.seek(timeAt(event));
  });
  const release = () => {
    if (pressed && (dragged || !pressed.onBar)) on.sought();
    pressed = null;
  };
  inner.addEventListener("pointerup", release);
  inner.addEventListener("pointercancel", release);
  scroll.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    setZoom(zoom * (event.deltaY < 0 ? 1.5 : 1 / 1.5), timeAt(event));
  }, { passive: false });

  function setZoom(wanted, around) {
    const at = (around / duration) * inner.clientWidth - scroll.scrollLeft;
    zoom = Math.min(Math.max(wanted, 1), Math.max(1, duration / 2));
    inner.style.width = `${100 * zoom}%`;
    scroll.scrollLeft = (around / duration) * inner.clientWidth - at;
    if (drawn) draw(...drawn);
  }

  function drawAxis() {
    axis.replaceChildren(...ticks(duration, across).map(({ time, text }) =>
      make("span", { className: "tick", "--at": time / duration }, text)));
  }

  function bar(segment, lane, row, filters, index) {
    const [start, end, label] = segment;
    const detected = row >= 0;
    const type = detected ? typeOf(data, filters, segment) : "";
    const missed = !detected && missedBy(filters, segment);
    const lost = !detected && missed.length > 0 && missed.length === data.systems.length;
    const [badge] = detected ? KINDS[type] ?? [""] : lost ? MISSED : [""];
    const times = `${clock(start)} to ${clock(end)} s`;
    const what = detected ? `score ${short(segment[3])}${type && `, ${type}`}`
      : lost ? "ground truth, missed" : "ground truth";
    const name = data.classes[label];
    const dim = !detected && !showsInstance(filters, segment);
    const part = (seconds) => Math.min(Math.max(seconds / duration, 0), 1);
    const width = (part(end) - part(start)) * across;
    const wrong = lost || (type && type !== "true positive");
    return make("button", {
      className: `bar look${label % 24}${wrong ? " wrong" : ""}${dim ? " dim" : ""}`,
      title: `${name}, ${times}, ${what}`, "aria-label": `${name}, ${times}, ${what}`,
      "--start": part(start), "--length": part(end) - part(start), "--lane": lane,
      "--strength": detected ? strength(filters, row, segment[3]) : 1,
      "data-row": row, "data-index": index,
      onclick: () => { if (!dragged) on.play(segment, row); },
    },
    badge && wrong && width >= LETTER ? make("b", {}, badge) : null,
    width >= READABLE ? make("span", {}, detected ? `${short(segment[3])} ${name}` : name) : null);
  }

  function rowOf(title, note, segments, row, filters, truth) {
    const least = (NARROWEST * duration) / across;
    const places = lanes(segments.map(([segment]) => segment), least);
    const bands = row < 0 ? [] : (truth ?? []).map(([start, end]) => make("i", {
      className: "band", "--start": start / duration, "--length": (end - start) / duration,
    }));
    const bars = segments.map(([segment, index], i) =>
      bar(segment, places[i], row, filters, index));
    const empty = bars.length ? null : make("span", { className: "none" }, "none shown");
    return make("div", { className: "row", role: "group", "aria-label": title },
      make("div", { className: "name" },
        spot(row), make("strong", {}, title), ` ${note}`),
      make("div", { className: "lanes", "--lanes": Math.max(0, ...places) + 1 },
        ...bands, ...bars, empty));
  }

  /** Draws a video's rows with what passes the filters. */
  function draw(video, filters, seconds) {
    drawn = [video, filters, seconds];
    duration = seconds;
    across = inner.clientWidth || across;
    const made = [];
    if (video.truth) {
      const all = video.truth.map((segment, index) => [segment, index]);
      made.push(rowOf("Ground truth", `${all.length}`, all, -1, filters, null));
    }
    data.systems.forEach((system, row) => {
      const every = video.found[row].map((segment, index) => [segment, index]);
      const shown = every.filter(([segment]) => showsDetection(data, filters, row, segment));
      const rule = filters.floor > 0 ? `, score from ${short(floorOf(filters, row))}` : "";
      const note = `${shown.length} of ${every.length}${rule}`;
      made.push(rowOf(system.name, note, shown, row, filters, video.truth));
    });
    rows.replaceChildren(...made);
    drawAxis();
    showChosen();
  }

  function showChosen() {
    rows.querySelectorAll(".bar.chosen").forEach((one) => one.classList.remove("chosen"));
    if (!chosen) return;
    const { row, index } = chosen;
    rows.querySelector(`.bar[data-row="${row}"][data-index="${index}"]`)?.classList.add("chosen");
  }

  let width = 0;
  new ResizeObserver(() => {
    if (scroll.clientWidth === width || !drawn) return;
    width = scroll.clientWidth;
    draw(...drawn);
  }).observe(scroll);

  return {
    element: scroll,
    draw,
    zoomBy: (factor, around) => setZoom(zoom * factor, around),
    restart() { chosen = null; zoom = 1; inner.style.width = "100%"; scroll.scrollLeft = 0; },
    /** Marks a bar as chosen, in later drawings of this video too. */
    mark(row, index) { chosen = { row, index }; showChosen(); },
    /** Moves the playhead, and keeps it in sight. */
    at(time, follow) {
      const share = Math.min(Math.max(time / duration, 0), 1);
      playhead.style.setProperty("--at", share);
      if (!follow || zoom === 1) return;
      const x = share * inner.clientWidth;
      if (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth) {
        scroll.scrollLeft = x - scroll.clientWidth * 0.1;
      }
    },
  };
}
