// Elements of the page. Text only ever becomes text: nothing here parses markup.

/** An element with properties and children, which are elements or text. */
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else if (name in made && name !== "list" && name !== "style") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The colour of a system, by its place; those of viewer.css come again and again. -1 is the ground
 *  truth's. */
function colour(system) {
  return system % 8;
}

/** A spot in the colour of a system. */
function spot(system, title = "") {
  return make("i", { className: "mark", "data-system": colour(system), title });
}

/** A time in the form that suits the video's length: 7.25, 1:02.5, 1:01:05. */
function clock(seconds, digits = 2) {
  const sign = seconds < 0 ? "-" : "";
  const unit = 10 ** digits;
  const total = Math.round(Math.abs(seconds) * unit) / unit;
  if (total < 60) return `${sign}${total.toFixed(digits)}`;
  const rest = (total % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const minutes = Math.floor(total / 60);
  if (minutes < 60) return `${sign}${minutes}:${rest}`;
  return `${sign}${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** A fraction in percent, a dash where there is none. */
function percent(fraction) {
  return fraction === null || fraction === undefined ? "–" : (100 * fraction).toFixed(1);
}

/** A number of things: 1 instance, 2 instances. */
function counted(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** A score, short. */
function short(score) {
  const size = Math.abs(score);
  return size >= 0.01 || size === 0 ? score.toFixed(2) : score.toPrecision(1);
}
