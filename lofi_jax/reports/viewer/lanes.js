// Segments that overlap lie in lanes of their own.

/** The lane of each segment: in order, the first in which it overlaps nothing.
 *  `least` is the length that the eye needs, in seconds. */
function lanes(segments, least) {
  const taken = [];
  return segments.map(([start, end]) => {
    const last = Math.max(end, start + least);
    let lane = taken.findIndex((row) => row.every(([a, b]) => last <= a || b <= start));
    if (lane < 0) lane = taken.push([]) - 1;
    taken[lane].push([start, last]);
    return lane;
  });
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/** The times to write under an axis of so many pixels. */
function ticks(duration, width) {
  const room = 68;
  const step = STEPS.find((each) => (each / duration) * width >= room) ??
    3600 * Math.ceil((room / width) * (duration / 3600));
  // The last text must fit before the end.
  const count = Math.max(0, Math.floor((duration * (1 - 34 / width)) / step));
  return Array.from({ length: count + 1 }, (_, i) => ({
    time: i * step, text: clock(i * step, step < 1 ? 1 : 0),
  }));
}
