// The lists beside the video: of videos, of classes, and of what the video holds.

const MOST = 300; // lines of a list that are made at once

/** Bars of the systems' precisions; a system's colour is its place. */
function precisions(systems, values) {
  return make("span", { className: "precisions" }, ...values.map((value, i) =>
    make("span", {
      className: "precision", "--share": value ?? 0, "data-system": colour(i),
      title: `average precision of ${systems[i].name}`,
    }, percent(value))));
}

const ORDERS = {
  "worst first": (a, b, system) => (a.precision[system] ?? 2) - (b.precision[system] ?? 2),
  "best first": (a, b, system) => (b.precision[system] ?? -1) - (a.precision[system] ?? -1),
  "name": (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }),
  "longest first": (a, b) => b.duration - a.duration,
};

/** The ways to sort videos, as [text, comparison]; by each system, and by how far two differ. */
function orders(data) {
  const { systems } = data;
  if (!systems.some((system) => system.average_mAP !== null)) {
    return ["name", "longest first"].map((name) => [name, ORDERS[name]]);
  }
  const many = systems.length > 1;
  const gap = (video) => Math.abs((video.precision[0] ?? 0) - (video.precision[1] ?? 0));
  return [
    ...["worst first", "best first"].flatMap((name) => systems.map((system, i) =>
      [many ? `${name}: ${system.name}` : name, (a, b) => ORDERS[name](a, b, i)])),
    ...(many ? [["largest difference", (a, b) => gap(b) - gap(a)]] : []),
    ...["name", "longest first"].map((name) => [name, ORDERS[name]]),
  ];
}

function makeVideoList(data, on) {
  const ways = orders(data);
  const sort = make("select", { "aria-label": "Sort videos", onchange: () => draw(last) },
    ...ways.map(([text], i) => make("option", { value: i }, text)));
  const search = make("input", {
    type: "search", placeholder: "Find a video", "aria-label": "Find a video",
    oninput: () => draw(last),
  });
  const list = make("ul", { className: "list videos" });
  const count = make("p", { className: "count", role: "status" });
  let shown = [], last = null;

  function draw(state) {
    last = state;
    const text = search.value.trim().toLowerCase();
    const [, compare] = ways[Number(sort.value)];
    shown = data.videos.filter((video) =>
      video.id.toLowerCase().includes(text) && holds(data, state.filters, video));
    shown.sort((a, b) => compare(a, b));
    const whole = data.videos.length;
    const cut = shown.length > MOST ? `, the first ${MOST} listed` : "";
    count.textContent = `${shown.length} of ${counted(whole, "video")}${cut}`;
    list.replaceChildren(...shown.slice(0, MOST).map((video) => make("li", {}, make("button", {
      "aria-current": video === state.video ? "true" : "false",
      onclick: () => on.open(video),
    }, make("span", { className: "id", title: video.id }, video.id),
    make("span", { className: "facts" },
      clock(video.duration, 0) + (video.duration < 60 ? " s" : "") +
      (video.truth ? ` · ${counted(video.truth.length, "instance")}` : "") +
      (video.file ? "" : " · no file")),
    precisions(data.systems, video.precision)))));
  }
  return {
    element: make("div", {}, make("div", { className: "tools" }, search, sort), count, list),
    draw,
    /** Marks the video that is open, without drawing the list again. */
    mark(video) {
      list.querySelectorAll("[aria-current=true]").forEach((one) => {
        one.setAttribute("aria-current", "false");
      });
      const one = list.children[shown.indexOf(video)]?.firstChild;
      one?.setAttribute("aria-current", "true");
      // Not scrollIntoView: that would move the page too.
      if (one) {
        const [box, within] = [one.getBoundingClientRect(), list.getBoundingClientRect()];
        if (box.top < within.top || box.bottom > within.bottom) {
          list.scrollTop += box.top - within.top - within.height / 3;
        }
      }
    },
    next(video, way) {
      const at = shown.indexOf(video);
      return shown[at < 0 ? 0 : Math.min(Math.max(at + way, 0), shown.length - 1)];
    },
    first: () => shown[0],
    focus: () => search.focus(),
  };
}

function makeClassList(data, on) {
  const list = make("ul", { className: "list classes" });
  const worst = data.classes.map((_, i) => i).sort((a, b) => {
    const of = (label) => data.systems[0].precision[label] ?? 2;
    return of(a) - of(b) || (data.classes[a] < data.classes[b] ? -1 : 1);
  });
  return {
    element: make("div", {},
      make("p", { className: "count" }, "Worst first; choose one to see nothing else."), list),
    draw(state) {
      list.replaceChildren(...worst.map((label) => make("li", {}, make("button", {
        "aria-pressed": state.filters.label === label ? "true" : "false",
        onclick: () => on.choose(state.filters.label === label ? -1 : label),
      }, make("span", { className: "id" },
        make("i", { className: `swatch look${label % 24}` }), data.classes[label]),
      make("span", { className: "facts" },
        data.instances ? counted(data.instances[label], "instance") : ""),
      precisions(data.systems, data.systems.flatMap((system) =>
        system.average_mAP === null ? [] : [system.precision[label]]))))));
    },
  };
}

/** What is shown of the open video, in time's order; `draw` returns it too. */
function makeSegmentList(data, on) {
  const list = make("ol", { className: "list segments" });
  let drawn = [];

  function line({ segment, row, index }, state) {
    const type = row >= 0 ? typeOf(data, state.filters, segment) : "";
    const missed = row < 0 ? missedBy(state.filters, segment).length : 0;
    const lost = missed && (missed === data.systems.length ? "missed" : "missed by some");
    const of = row < 0 ? "ground truth" : data.systems[row].name;
    const name = data.classes[segment[2]];
    const score = row < 0 ? "" : short(segment[3]);
    return make("li", {}, make("button", {
      "data-row": row, "data-index": index, onclick: () => on.play(segment, row),
    }, make("span", { className: "time" }, clock(segment[0])),
    make("i", { className: `swatch look${segment[2] % 24}` }),
    make("span", { className: "label", title: name }, name),
    spot(row, of),
    make("span", { className: "score" }, score),
    make("span", { className: `type${type === "true positive" ? " good" : ""}` },
      lost || type)));
  }
  return {
    element: list,
    draw(state) {
      const { video, filters } = state;
      const truth = (video.truth ?? []).map((segment, index) => ({ segment, row: -1, index }))
        .filter(({ segment }) => showsInstance(filters, segment));
      const found = video.found.flatMap((segments, row) => segments
        .map((segment, index) => ({ segment, row, index }))
        .filter(({ segment }) => showsDetection(data, filters, row, segment)));
      drawn = [...truth, ...found].sort((a, b) => a.segment[0] - b.segment[0] || a.row - b.row);
      list.replaceChildren(...drawn.slice(0, MOST).map((one) => line(one, state)));
      if (!drawn.length) list.append(make("li", { className: "none" }, "nothing shown"));
      return drawn;
    },
    mark(row, index) {
      list.querySelectorAll(".chosen").forEach((one) => one.classList.remove("chosen"));
      const one = list.querySelector(`[data-row="${row}"][data-index="${index}"]`);
      one?.classList.add("chosen");
      if (one) list.scrollTop = one.offsetTop - list.offsetTop - list.clientHeight / 3;
    },
    get shown() { return drawn; },
  };
}
