// The page put together: state, keyboard and address.

const KEYS = [
  ["Space", "play or pause"], ["← →", "a second back or on; with Shift, a frame (1/25 s)"],
  ["[ ]", "the segment before or after, played"], ["E", "the next error"],
  ["N P", "the next or previous video"], ["+ − 0", "zoom in, out, back"],
  ["/", "find a video"], ["?", "these keys"],
];
const FRAME = 1 / 25;

function start(data, root) {
  const judged = data.tious.length > 0;
  const state = { video: null, filters: newFilters(data), chosen: null };
  const player = makePlayer({
    time(seconds, follow) { timeline.at(seconds, follow); showTime(); },
    length(seconds) {
      if (Math.abs(seconds - state.video.duration) < 0.05) return;
      state.video.duration = seconds;
      redraw();
    },
  });
  const timeline = makeTimeline(data, {
    play, seek(time) { player.seek(time); }, sought: writeAddress,
  });
  const videos = makeVideoList(data, { open(video) { open(video); closeSide(); } });
  const classes = makeClassList(data, { choose(label) { filter({ label }); closeSide(); } });
  const segments = makeSegmentList(data, { play });

  // The bar above the timeline.
  const time = make("output", { className: "clock" });
  const control = (text, title, onclick) =>
    make("button", { type: "button", title, "aria-label": title, onclick }, text);
  const playButton = control("▶", "Play or pause (Space)", () => player.toggle());
  player.video.addEventListener("play", () => { playButton.textContent = "❚❚"; });
  player.video.addEventListener("pause", () => { playButton.textContent = "▶"; });
  const transport = make("div", { className: "transport" }, playButton,
    control("‹", "The segment before ([)", () => neighbour(-1)),
    control("›", "The segment after (])", () => neighbour(1)),
    judged ? control("next error", "The next error (E)", nextError) : null,
    time,
    make("span", { className: "gap" }),
    control("−", "Zoom out (−)", () => timeline.zoomBy(1 / 1.5, player.time)),
    control("+", "Zoom in (+)", () => timeline.zoomBy(1.5, player.time)),
    control("?", "Keys (?)", () => help.showModal()));

  // The filters.
  const floor = make("input", {
    type: "range", min: 0, max: 100, value: 10, id: "floor",
    oninput() { filter({ floor: Number(floor.value) / 100 }); },
  });
  const floorText = make("output", { htmlFor: "floor" });
  const label = make("select", {
    id: "label", onchange() { filter({ label: Number(label.value) }); },
  }, make("option", { value: -1 }, "all classes"),
  ...data.classes.map((name, i) => make("option", { value: i }, name)));
  const at = make("select", {
    id: "tiou", onchange() { filter({ tiou: Number(at.value) }); },
  }, ...data.tious.map((text, i) => make("option", { value: i }, text)));
  const chips = make("div", { className: "chips", role: "group", "aria-label": "Kind" });
  const field = (id, text, ...inputs) =>
    make("div", { className: "field" }, make("label", { htmlFor: id }, text), ...inputs);
  const filters = make("div", { className: "filters" },
    field("floor", "Score from", floor, floorText), field("label", "Class", label),
    judged ? field("tiou", "tIoU", at) : null, judged ? chips : null);

  const title = make("h2", {});
  const scores = make("p", { className: "scores" });
  const details = make("div", { className: "details", role: "status" });
  const help = make("dialog", { className: "help" },
    make("h2", {}, "Keys"),
    make("dl", {}, ...KEYS.flatMap(([key, does]) =>
      [make("dt", {}, key), make("dd", {}, does)])),
    make("p", {}, "Click a segment to play it; drag over the timeline to seek. Grey bands are the " +
      "ground truth. A dashed bar is an error, with the first letter of its kind; the fainter a " +
      "bar, the lower its score."),
    judged ? make("dl", {}, ...Object.entries(KINDS).concat([["missed", MISSED]]).flatMap(
      ([name, [badge, means]]) => [make("dt", {}, `${badge} ${name}`), make("dd", {}, means)]))
      : null,
    make("form", { method: "dialog" }, make("button", {}, "Close")));

  // The side: videos and classes.
  const tabs = [["Videos", videos.element], ["Classes", classes.element]];
  const tabButtons = tabs.map(([name], i) => make("button", {
    type: "button", role: "tab", "aria-selected": i ? "false" : "true", onclick() { showTab(i); },
  }, name));
  const side = make("nav", { className: "side", "aria-label": "Videos and classes" },
    make("div", { className: "tabs", role: "tablist" }, ...tabButtons),
    ...tabs.map(([, element]) => element));
  const sideButton = make("button", {
    type: "button", className: "open-side", "aria-expanded": "false",
    onclick() { sideButton.setAttribute("aria-expanded", String(root.classList.toggle("sided"))); },
  }, "Videos and classes");
  function closeSide() {
    root.classList.remove("sided");
    sideButton.setAttribute("aria-expanded", "false");
  }
  function showTab(chosen) {
    tabs.forEach(([, element], i) => {
      element.hidden = i !== chosen;
      tabButtons[i].setAttribute("aria-selected", String(i === chosen));
    });
  }
  showTab(0);

  const summary = data.systems.map((system, i) => make("span", { className: "system" },
    spot(i), system.name,
    judged ? ` average mAP ${percent(system.average_mAP)}` : ""));
  root.replaceChildren(
    make("p", { className: "summary" },
      counted(data.videos.length, "video"), ...summary, sideButton),
    side,
    make("section", { className: "stage" },
      make("div", { className: "heading" }, title, scores),
      make("div", { className: "above" }, player.element,
        make("div", { className: "beside" }, details, segments.element)),
      transport, timeline.element, filters),
    help);

  function showTime() {
    const whole = state.video ? state.video.duration : 0;
    time.textContent = `${clock(player.time)} / ${clock(whole)}`;
  }

  function drawChips() {
    const { video } = state;
    const found = video.found.flatMap((list, row) => list.filter((segment) =>
      passesScore(state.filters, row, segment) && passesLabel(state.filters, segment)));
    const types = found.map((segment) => typeOf(data, state.filters, segment));
    const missed = (video.truth ?? []).filter((one) =>
      passesLabel(state.filters, one) && missedBy(state.filters, one).length);
    const of = (kind) => types.filter((type) => type === kind).length;
    const counts = [["all", types.length], ["errors", types.length - of("true positive")],
      ...data.types.map((type) => [type, of(type)]), ["missed", missed.length]];
    chips.replaceChildren(...counts.map(([kind, count]) => make("button", {
      type: "button", "aria-pressed": state.filters.kind === kind ? "true" : "false",
      title: (KINDS[kind] ?? (kind === "missed" ? MISSED : ["", ""]))[1],
      onclick() { filter({ kind: state.filters.kind === kind ? "all" : kind }); },
    }, kind, make("b", {}, ` ${count}`))));
  }

  function redraw() {
    timeline.draw(state.video, state.filters, state.video.duration);
    timeline.at(player.time, false);
    segments.draw(state);
    if (judged) drawChips();
    floorText.textContent = `${floor.value} % of the best`;
    showTime();
    markChosen();
  }

  function markChosen() {
    if (!state.chosen) return;
    const { segment, row } = state.chosen;
    const index = (row < 0 ? state.video.truth : state.video.found[row]).indexOf(segment);
    timeline.mark(row, index);
    segments.mark(row, index);
  }

  function filter(change) {
    Object.assign(state.filters, change);
    label.value = state.filters.label;
    at.value = state.filters.tiou;
    if ("label" in change) classes.draw(state);
    const { filters } = state;
    if (!("floor" in change) || filters.label >= 0 || filters.kind !== "all") videos.draw(state);
    redraw();
    if (state.chosen) describe(state.chosen.segment, state.chosen.row);
  }

  function open(video) {
    if (!video) return;
    state.video = video;
    state.chosen = null;
    title.textContent = video.id;
    scores.replaceChildren(judged
      ? make("span", {}, "average precision ", precisions(data.systems, video.precision)) : "");
    details.replaceChildren(
      make("p", { className: "hint" }, "Click a segment to play it; drag over the timeline to seek."));
    timeline.restart();
    redraw();
    player.load(video.file, video.note);
    videos.mark(video);
    writeAddress();
  }

  function describe(segment, row) {
    const [from, to, of] = segment;
    const line = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)];
    const facts = line("time", `${clock(from)} to ${clock(to)} s, ${(to - from).toFixed(2)} s long`);
    if (row >= 0) {
      facts.push(...line("score", short(segment[3])));
      const type = typeOf(data, state.filters, segment);
      if (type) facts.push(...line("kind", make("strong", {}, type), `: ${KINDS[type][1]}`));
      const { instance, overlap } = nearest(state.video, segment);
      if (instance) {
        facts.push(...line("nearest", make("button", {
          type: "button", className: "link", onclick: () => play(instance, -1),
        }, `${data.classes[instance[2]]}, ${clock(instance[0])} to ${clock(instance[1])} s`),
        `, tIoU ${overlap.toFixed(2)}`));
      }
    } else {
      const missed = missedBy(state.filters, segment).map((i) => data.systems[i].name);
      facts.push(...line("found", missed.length ? `missed by ${missed.join(", ")}` : "by all"));
    }
    details.scrollTop = 0;
    details.replaceChildren(
      make("h3", {}, make("i", { className: `swatch look${of % 24}` }), data.classes[of],
        make("small", {}, row < 0 ? "ground truth" : data.systems[row].name)),
      make("dl", {}, ...facts));
  }

  function play(segment, row) {
    state.chosen = { segment, row };
    describe(segment, row);
    markChosen();
    player.playSegment(segment[0], segment[1]);
    timeline.at(segment[0], true);
    writeAddress();
  }

  function neighbour(way) {
    const { shown } = segments;
    const at = shown.findIndex(({ segment, row }) =>
      state.chosen && segment === state.chosen.segment && row === state.chosen.row);
    const later = shown.findIndex(({ segment }) => segment[0] > player.time);
    const next = at >= 0 ? at + way
      : way > 0 ? later : (later < 0 ? shown.length : later) - 1;
    if (shown[next]) play(shown[next].segment, shown[next].row);
  }

  /** The next error after the chosen segment, of this video or of those after it. */
  function nextError() {
    const wrong = ({ segment, row }) => (row < 0
      ? missedBy(state.filters, segment).length > 0
      : typeOf(data, state.filters, segment) !== "true positive");
    for (let video = state.video, begin = true; ;) {
      const { shown } = segments;
      const at = begin ? shown.findIndex(({ segment, row }) =>
        state.chosen && segment === state.chosen.segment && row === state.chosen.row) : -1;
      const next = shown.slice(at + 1).find(wrong);
      if (next) { play(next.segment, next.row); return; }
      const after = videos.next(video, 1);
      if (after === video || !after) return;
      [video, begin] = [after, false];
      open(video);
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    // In a longer page the keys are the page's own until the viewer is in sight.
    const box = root.getBoundingClientRect();
    if (box.top > innerHeight * 0.7 || box.bottom < 0) return;
    const on = event.target;
    if (on.matches("input, select, textarea, [contenteditable]")) {
      if (event.key === "Escape") on.blur();
      return;
    }
    const does = {
      " ": () => { if (on.matches("button, a")) return false; player.toggle(); },
      "k": () => player.toggle(),
      "ArrowLeft": () => player.step(event.shiftKey ? -FRAME : -1, state.video.duration),
      "ArrowRight": () => player.step(event.shiftKey ? FRAME : 1, state.video.duration),
      "[": () => neighbour(-1), "]": () => neighbour(1),
      "e": () => { if (judged) nextError(); },
      "n": () => open(videos.next(state.video, 1)), "p": () => open(videos.next(state.video, -1)),
      "+": () => timeline.zoomBy(1.5, player.time), "=": () => timeline.zoomBy(1.5, player.time),
      "-": () => timeline.zoomBy(1 / 1.5, player.time), "0": () => timeline.zoomBy(0, player.time),
      "/": () => { root.classList.add("sided"); showTab(0); videos.focus(); },
      "?": () => help.showModal(),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (does && does() !== false) event.preventDefault();
  });

  // The address names the video and the moment, #video=ID&t=12.5, or a segment of a system (-1: of
  // the ground truth), #video=ID&t=12.5&end=14&system=0.
  let own = "";
  function writeAddress() {
    const { chosen, video } = state;
    own = `#video=${encodeURIComponent(video.id)}&t=${player.time.toFixed(2)}` +
      (chosen && chosen.segment[0] === player.time
        ? `&end=${chosen.segment[1]}&system=${chosen.row}` : "");
    history.replaceState(null, "", own);
  }
  function followAddress() {
    if (location.hash === own) return;
    const asked = new URLSearchParams(location.hash.slice(1));
    const video = data.videos.find(({ id }) => id === asked.get("video"));
    if (!video) return;
    if (video !== state.video) open(video);
    const [from, to] = [Number(asked.get("t")) || 0, Number(asked.get("end"))];
    const row = Number(asked.get("system") ?? -1);
    const segment = ((row < 0 ? video.truth : video.found[row]) ?? []).find(([a, b]) =>
      Math.abs(a - from) < 1e-2 && Math.abs(b - to) < 1e-2);
    if (!segment) { player.seek(from); return; }
    // A link to something that the filters hide shows it all the same.
    if (row >= 0 && !showsDetection(data, state.filters, row, segment)) {
      floor.value = 0;
      filter({ floor: 0, label: -1, kind: "all" });
    }
    play(segment, row);
    root.querySelector(".stage").scrollIntoView();
  }
  window.addEventListener("hashchange", followAddress);

  classes.draw(state);
  videos.draw(state);
  const asked = location.hash;
  open(videos.first());
  if (asked.includes("video=")) { location.hash = asked; own = ""; followAddress(); }
}

start(JSON.parse(document.getElementById("viewer-data").textContent),
  document.getElementById("viewer"));
