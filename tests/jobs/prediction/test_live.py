"""Video from stdin and the network, detected in as it comes."""

import contextlib
import http.server
import json
import re
import subprocess
import threading

import pytest
from commands import misused, run, start
from rtsp import camera
from videos import join

import lofi_jax
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.streamed.live import Live
from lofi_jax.data.streamed.snippets import FileSnippets
from lofi_jax.data.video.packets import VideoError


@pytest.fixture(scope="module")
def streams(finished_run, tmp_path_factory):
    """Two test videos of 32 s after each other, as an MPEG transport stream, and each alone; the
    second as Matroska and MP4 too, which state its length.
    """
    folder = tmp_path_factory.mktemp("streams")
    videos = sorted((finished_run[0] / "data/world/target/videos").glob("*testing*"))[:2]
    one, two = videos[:1], videos[1:]
    streams = {"both.ts": videos, "one.ts": one, "two.ts": two, "two.mkv": two, "two.mp4": two}
    for name, parts in streams.items():
        join(folder / name, parts, 32)
    return folder


def test_stdin_gives_lines_of_json_as_the_windows_of_the_file(finished_run, streams, tmp_path):
    output = tmp_path / "found.json"
    given = [f"--workdir={finished_run[0]}", "--videos=-", f"--output={output}", "--top_k=9"]
    with start("predict", *given, stdin=subprocess.PIPE) as process:
        process.stdin.buffer.write((streams / "both.ts").read_bytes())
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "-: windows of 32 s, one every 16 s: a detection is printed at most 32 s of video" in err
    lines = [json.loads(line) for line in out.splitlines()]
    assert sorted({line["seen"] for line in lines}) == pytest.approx([32.0, 48.0, 64.0], abs=0.2)
    assert len(lines) > 9 and {line["video"] for line in lines} == {"stdin"}
    for line in lines:
        assert 0 <= line["start"] < line["end"] <= line["seen"] + 0.1
        assert line["seen"] - (line["start"] + line["end"]) / 2 <= 32.0
    saved = lofi_jax.load_detections(output)["stdin"]
    assert sorted(saved) == sorted(
        (line["start"], line["end"], line["label"], line["score"]) for line in lines
    )
    localizer = lofi_jax.Localizer.load(finished_run[0])
    whole = {
        (d.label, round(d.start, 1), round(d.end, 1)) for d in localizer.detect(streams / "both.ts")
    }
    same = [(d.label, round(d.start, 1), round(d.end, 1)) in whole for d in saved]
    assert sum(same) >= 0.9 * len(same)


def piped(finished_run, content, *flags):
    """How predict ended on some bytes on stdin."""
    given = f"--workdir={finished_run[0]}", "--videos=-", *flags
    with start("predict", *given, stdin=subprocess.PIPE) as process:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.buffer.write(content)
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("two.mp4", "error: -: no frame came (Invalid data"),
        ("", "error: -: cannot be opened as a video ("),
    ],
)
def test_what_gives_no_frame_on_stdin_is_refused_with_the_remedy(
    finished_run, streams, tmp_path, name, says
):
    content = (streams / name).read_bytes() if name else b""
    code, out, err = piped(finished_run, content, f"--output={tmp_path / 'found.json'}")
    assert (code, out) == (1, "") and not (tmp_path / "found.json").exists()
    last = err.splitlines()[-1]
    assert last.startswith(says) and last.endswith(
        "give the file itself, or pipe MPEG-TS or Matroska"
    )
    assert "no frame after" not in err


def test_stdin_that_breaks_says_so_and_keeps_what_came(finished_run, streams, tmp_path):
    content = (streams / "two.mkv").read_bytes()
    output = tmp_path / "found.json"
    code, out, err = piped(finished_run, content[: len(content) // 2], f"--output={output}")
    assert code == 0 and re.fullmatch(r"-: no frame after 1\d\.\d s \(.+\)", err.splitlines()[-1])
    assert out and len(lofi_jax.load_detections(output)["stdin"]) == len(out.splitlines())


@contextlib.contextmanager
def serving(folder, *answers, drops=False):
    """The address of an HTTP server that answers each request with the next of some files, then
    with none; the first it drops halfway, if asked to.
    """
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not left:
                self.send_error(503)
                return
            content = (folder / left.pop(0)).read_bytes()
            breaks = drops and len(left) == len(answers) - 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if breaks else content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}/live"
        made.shutdown()


def test_the_network_gives_lines_of_json_over_a_break(finished_run, streams):
    with serving(streams, "one.ts", "two.mkv", drops=True) as server:
        ended = run("predict", f"--workdir={finished_run[0]}", f"--videos={server}", "--top_k=9")
    assert ended.returncode == 0, ended.stderr
    told = [line for line in ended.stderr.splitlines() if line.startswith(f"{server}: ")]
    assert "windows of 32 s" in told[0]
    (broke, again) = told[1:]
    assert re.match(rf"{server}: no frame after 1\d\.\d s \(", broke)
    assert again == f"{server}: connected again"
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line["video"] for line in lines} == {"live"}
    # The second video comes behind the half of the first.
    assert 47 < max(line["seen"] for line in lines) < 50


@pytest.fixture
def server(streams):
    with serving(streams, "one.ts", "two.ts") as address:
        yield address


def test_a_source_that_breaks_is_connected_to_again(server, streams):
    said, how = [], Sampling(1, 2, 0, 16, 90, snippets_per_second=0.5)
    source = Live(server, how, said.append, waits=(0.0, 0.0))
    snippets = [[frame.jpeg for frame in snippet] for snippet in source]
    heads = [line.removeprefix(f"{server}: ").partition(" after")[0] for line in said]
    assert heads == ["no frame", "connected again", "no frame", "gone,"]
    assert "after 32.0 s" in said[0] and source.duration == pytest.approx(64.0, abs=0.2)
    alone = [[frame.jpeg for frame in s] for s in FileSnippets(streams / "one.ts", how)]
    assert snippets[:15] == alone[:15] and len(snippets) == 32


def test_a_camera_gives_the_frames_of_the_file_that_it_sends(streams):
    said, how = [], Sampling(1, 2, 0, 16, 90, snippets_per_second=0.5)
    with camera(streams / "both.ts") as address:
        source = Live(address, how, said.append, waits=())
        snippets = [[frame.jpeg for frame in snippet] for snippet in source]
    assert said == [
        f"{address}: no frame after 64.0 s (the stream ended)",
        f"{address}: gone, after 0 more tries",
    ]
    assert snippets == [[f.jpeg for f in s] for s in FileSnippets(streams / "both.ts", how)]


def test_what_is_no_source_is_refused(finished_run, tmp_path):
    with pytest.raises(VideoError, match="/dev/none: cannot be opened as a video"):
        Live("/dev/none", Sampling(), print)
    usual = [f"--workdir={finished_run[0]}"]
    refusals = {
        "--videos=-,clips": (2, "--videos=-,clips: a live source goes alone, without"),
        "--videos=/dev/none": (1, "/dev/none: cannot be opened as a video"),
        f"--videos={tmp_path}": (1, "no such video file, folder of videos or pattern"),
    }
    for flag, (code, says) in refusals.items():
        ended = run("predict", *usual, flag)
        assert ended.returncode == code and "error: " in ended.stderr and says in ended.stderr
    (tmp_path / "a.mp4").touch()
    assert misused(run("predict", *usual, f"--videos={tmp_path}"), "--output: name the file")
