// What is shown: by score, class and kind.

const KINDS = {
  "true positive": ["✓", "the best-scored detection of an instance, at this tIoU or above"],
  "double detection": ["D", "overlaps an instance that a better-scored detection has taken"],
  "wrong label": ["W", "overlaps an instance of another class, at this tIoU or above"],
  "localization": ["L", "overlaps an instance of its class too little"],
  "confusion": ["C", "overlaps an instance of another class a little"],
  "background": ["B", "overlaps nothing: a tIoU under 0.1 with every instance"],
};
const MISSED = ["M", "an instance that no detection of any score matches at this tIoU"];

/** The filters' first setting: a detection is shown from a tenth of its system's best score on. */
function newFilters(data) {
  return { tiou: 0, floor: 0.1, label: -1, kind: "all", scales: scales(data) };
}

/** Each system's scores from the least, or 0 where none is negative, to the best. */
function scales(data) {
  return data.systems.map((_, system) => {
    let low = 0, best = -Infinity;
    for (const video of data.videos) {
      for (const segment of video.found[system]) {
        low = Math.min(low, segment[3]);
        best = Math.max(best, segment[3]);
      }
    }
    return { low, best: best > low ? best : low + 1 };
  });
}

/** A score between its system's least, 0, and best, 1. */
function strength(filters, system, score) {
  const { low, best } = filters.scales[system];
  return (score - low) / (best - low);
}

/** The score from which a system's detections are shown. */
function floorOf(filters, system) {
  const { low, best } = filters.scales[system];
  return low + filters.floor * (best - low);
}

/** A detection's type as the data name it, or "" where nobody has judged it. */
function typeOf(data, filters, segment) {
  return segment[4] ? data.types[segment[4][filters.tiou]] : "";
}

/** The systems that miss an instance. */
function missedBy(filters, instance) {
  return instance[3].flatMap((found, system) => (found[filters.tiou] === "0" ? [system] : []));
}

function passesScore(filters, system, segment) {
  return strength(filters, system, segment[3]) >= filters.floor - 1e-9;
}

function passesLabel(filters, segment) {
  return filters.label < 0 || segment[2] === filters.label;
}

function passesKind(data, filters, segment) {
  const { kind } = filters;
  if (kind === "all" || kind === "missed") return true;
  const type = typeOf(data, filters, segment);
  return kind === "errors" ? type !== "true positive" : type === kind;
}

function showsDetection(data, filters, system, segment) {
  return passesScore(filters, system, segment) && passesLabel(filters, segment) &&
    passesKind(data, filters, segment);
}

function showsInstance(filters, instance) {
  return passesLabel(filters, instance) &&
    (filters.kind !== "missed" || missedBy(filters, instance).length > 0);
}

/** Whether a video holds anything that a filter of class or kind asks for. */
function holds(data, filters, video) {
  if (filters.label < 0 && filters.kind === "all") return true;
  const instances = video.truth ?? [];
  if (filters.kind === "missed") return instances.some((one) => showsInstance(filters, one));
  return (filters.kind === "all" && instances.some((one) => passesLabel(filters, one))) ||
    video.found.some((found, system) =>
      found.some((segment) => showsDetection(data, filters, system, segment)));
}

/** The overlap of two segments over their union. */
function tiou(a, b) {
  const both = Math.min(a[1], b[1]) - Math.max(a[0], b[0]);
  return both <= 0 ? 0 : both / (Math.max(a[1], b[1]) - Math.min(a[0], b[0]));
}

/** The instance that a detection overlaps most, and how much. */
function nearest(video, segment) {
  let best = { instance: null, overlap: 0 };
  for (const instance of video.truth ?? []) {
    const overlap = tiou(instance, segment);
    const own = instance[2] === segment[2];
    if (overlap > best.overlap || (overlap && overlap === best.overlap && own)) {
      best = { instance, overlap };
    }
  }
  return best;
}
