// The video, or a still clock where there is none that plays.

/** Makes the player. `on.time(seconds)` is called whenever the time moves, `on.length(seconds)` once
 *  the browser knows the video's own. */
function makePlayer(on) {
  const video = make("video", { controls: true, playsInline: true, preload: "auto" });
  video.tabIndex = -1;
  const note = make("p", { className: "note", role: "status", hidden: true });
  const element = make("div", { className: "screen" }, video, note);
  let now = 0, stop = Infinity, wanted = null, file = null, about = "", playsNow = false;

  function move(time) {
    now = time;
    on.time(now, playsNow);
  }
  function say(text) {
    note.textContent = text;
    note.hidden = !text;
    video.hidden = Boolean(text);
  }
  function cannot() {
    const what = about ? ` (${about})` : "";
    const name = decodeURIComponent(file.slice(file.lastIndexOf("/") + 1));
    say(`This browser cannot play ${name}${what}. Convert it to H.264 in MP4: ` +
      `ffmpeg -i ${name} -c:v libx264 -pix_fmt yuv420p NAME.mp4`);
  }
  // Seeks wait for one another, so that the last place asked for is soon shown.
  function seekSoon() {
    if (wanted === null || video.seeking || video.readyState < 1) return;
    const time = wanted;
    wanted = null;
    if (Math.abs(video.currentTime - time) > 1e-4) video.currentTime = time;
  }
  function tick() {
    if (!playsNow) return;
    if (video.currentTime >= stop) {
      const end = stop;
      pause();
      seek(end);
      return;
    }
    if (wanted === null && !video.seeking) move(video.currentTime);
    requestAnimationFrame(tick);
  }
  video.addEventListener("loadedmetadata", () => {
    // Sound that plays without its images is no video.
    if (!video.videoWidth) cannot();
    if (Number.isFinite(video.duration)) on.length(video.duration);
    seekSoon();
  });
  video.addEventListener("seeked", () => {
    if (wanted === null && !playsNow && stop === Infinity) move(video.currentTime);
    seekSoon();
  });
  video.addEventListener("error", () => { if (file) cannot(); });
  video.addEventListener("play", () => { playsNow = true; requestAnimationFrame(tick); });
  video.addEventListener("pause", () => { playsNow = false; });
  video.addEventListener("ended", () => { playsNow = false; move(video.duration); });
  video.addEventListener("click", () => { stop = Infinity; });

  function seek(time) {
    stop = Infinity;
    wanted = time;
    move(time);
    seekSoon();
  }
  function pause() { playsNow = false; video.pause(); }
  function play() { if (file && !video.hidden) video.play().catch(() => {}); }

  return {
    element,
    video,
    load(address, text) {
      playsNow = false;
      [file, about, stop, wanted] = [address, text, Infinity, null];
      say(address ? "" : `No video: ${text || "none was given"}.`);
      if (address) video.src = address;
      else video.removeAttribute("src");
      video.load();
      move(0);
    },
    seek,
    pause,
    toggle() { stop = Infinity; if (video.paused) play(); else pause(); },
    /** Plays from one time to another. */
    playSegment(start, end) { seek(start); stop = end; play(); },
    step(seconds, most) { seek(Math.min(Math.max(now + seconds, 0), most)); },
    get time() { return now; },
    get playing() { return playsNow; },
  };
}
