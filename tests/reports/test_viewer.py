"""The viewer's page as a user meets it: written by the command, clicked in a real browser."""

import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

import commands
import numpy as np
import pytest
import videos
from browser import chromium
from small_videos import annotated, save_annotations

from lofi_jax.detection.false_positives import TYPES
from lofi_jax.errors import UserError
from lofi_jax.jobs import view
from lofi_jax.reports import pages, server
from lofi_jax.reports.viewer import links, part
from lofi_jax.results import predictions, side_by_side
from lofi_jax.results.detections import Detections

ODD = "</script><b>&amp;'\""  # a class that would be markup, were it not text
PLAYED, SILENT = "one # 1", "two"


def entry(start, end, label, score):
    return {"segment": [start, end], "label": label, "score": score}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page of three videos: one that plays, one that browsers cannot play, one without a file."""
    folder = tmp_path_factory.mktemp("view")
    frames = [videos.numbered(i % 60) for i in range(60)]
    (folder / "videos" / "deep").mkdir(parents=True)
    # A keyframe a second, so that seeking is quick.
    videos.write(folder / "videos" / "deep" / f"v_{PLAYED}.mp4", frames, g="10")
    videos.write(folder / "videos" / f"{SILENT}.avi", frames, codec="mpeg4")
    save_annotations(
        folder / "truth.json",
        {
            PLAYED: annotated("val", (1, 2, "run"), (3, 5, ODD), duration=6),
            SILENT: annotated("val", (0, 2, "run"), duration=6),
            "three": annotated("val", (0, 2, "run"), (4, 5, ODD)),
            "other": annotated("train", (0, 2, "run"), duration=6),
        },
    )
    first = {
        PLAYED: [
            entry(1, 2, "run", 0.9),  # true
            entry(1.1, 2, "run", 0.8),  # a double detection
            entry(3, 5, "run", 0.7),  # a wrong label
            entry(5.2, 5.9, ODD, 0.05),  # background, under a tenth of the best
        ],
        SILENT: [entry(0, 2, "run", 0.9)],
        "three": [entry(0, 1.9, "run", 0.3)],
    }
    second = {PLAYED: [entry(3, 5, ODD, 5.0)], SILENT: [entry(3, 4, "run", -1.0)], "three": []}
    for name, results in (("a.json", first), ("b.json", second)):
        (folder / name).write_text(json.dumps({"results": results}))
    return folder


def arguments(folder, output, *more):
    return [
        "view",
        f"--ground_truth={folder / 'truth.json'}",
        f"--predictions={folder / 'a.json'},{folder / 'b.json'}",
        f"--video_dir={folder / 'videos'}",
        f"--output={output}",
        *more,
    ]


@pytest.fixture(scope="module")
def written(folder):
    output = folder / "page"
    ended = commands.run(*arguments(folder, output))
    assert ended.returncode == 0, ended.stderr
    return output, ended


def data_of(output):
    text = (output / "index.html").read_text()
    return json.loads(text.split('id="viewer-data">')[1].split("</script>")[0]), text


def test_the_page_holds_what_was_judged(written):
    output, ended = written
    data, _ = data_of(output)
    assert [video["id"] for video in data["videos"]] == [PLAYED, SILENT, "three"]
    kinds = [TYPES[int(row[4][0])] for row in data["videos"][0]["found"][0]]
    assert kinds == ["true positive", "double detection", "wrong label", "background"]
    assert [row[3] for row in data["videos"][0]["truth"]] == [
        ["1" * 10, "0" * 10],
        ["0" * 10, "1" * 10],
    ]
    assert data["videos"][0]["precision"] == [0.5, 0.5]
    # The class ODD is found by the second alone, in one of its two places.
    by_name = dict(zip(data["classes"], data["systems"][1]["precision"], strict=True))
    assert by_name == {ODD: 0.5, "run": 0.0}
    assert [video["duration"] for video in data["videos"]] == [6, 6, 5]
    assert "mpeg4" in data["videos"][1]["note"] and data["videos"][0]["note"] == ""
    assert "2 hard-linked, which takes no space; 1 not found" in ended.stdout


def test_text_from_files_is_no_markup_and_the_page_fetches_nothing(written):
    _, text = data_of(written[0])
    assert "<b>" not in text and "</script><" not in text
    assert text.count("<script") == 2 == text.count("</script>")
    assert "http://" not in text and "https://" not in text and "@import" not in text
    assert "innerHTML" not in text and "fetch(" not in text
    assert json.loads(part.as_script({ODD: ["<!--", "\u2028"]})) == {ODD: ["<!--", "\u2028"]}


@pytest.mark.parametrize(
    "name",
    [
        ODD,
        "<script>alert(1)</script>",
        "\"><img src=x onerror='alert(1)'>",
        "javascript:alert(1)//",
    ],
)
def test_hostile_names_are_text(tmp_path, name):
    """Of a video, a class, a system, that is a prediction file, and a video's file."""
    one = predictions.of_detections({name: Detections([[0, 1]], [name], [0.5], name)})
    path = tmp_path / f"{name.replace('/', '')}.mp4"
    videos.write(path, [videos.numbered(0)])
    data, _ = view.with_videos(side_by_side.unjudged({name: one}), {name: path}, tmp_path / "page")
    view.write(tmp_path / "page", name, data)
    text = (tmp_path / "page" / "index.html").read_text()
    markup = [*pages.page(name, [pages.links([(name, links.of_video(name))])]).split("<")]
    plain = [*pages.page("a", [pages.links([("a", links.of_video("a"))])]).split("<")]
    assert len(markup) == len(plain) and 'href="#video=' in "<".join(markup)
    assert text.count("<script") == 2 == text.count("</script>") and "<img" not in text
    assert data_of(tmp_path / "page")[0] == json.loads(json.dumps(data))
    assert data["videos"][0]["file"] == "videos/" + urllib.parse.quote(path.name)


def test_videos_are_linked_copied_and_linked_again(folder, tmp_path):
    source = folder / "videos" / f"{SILENT}.avi"
    for flags, says, shared in (
        ((), "2 hard-linked", True),
        ((), "2 there already", True),
        (("--copy_videos",), "2 copied", False),
        ((), "2 hard-linked", True),
    ):
        ended = commands.run(*arguments(folder, tmp_path / "page", *flags))
        there = tmp_path / "page" / "videos" / source.name
        assert says in ended.stdout and there.read_bytes() == source.read_bytes()
        assert there.samefile(source) == shared


def test_a_copy_that_was_killed_long_ago_is_removed(tmp_path):
    left = tmp_path / "videos" / f".{'0' * 32}.tmp"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (1, 1))
    view.with_videos({"videos": []}, {}, tmp_path)
    assert not left.exists()


def test_no_video_is_lost_to_a_page(tmp_path):
    data = {
        "videos": [
            {"id": key, "duration": 1.0, "truth": None, "found": []} for key in ("x", "x.mp4")
        ]
    }
    files = {"x": tmp_path / "videos" / "x.mp4", "x.mp4": tmp_path / "deep" / "x.mp4"}
    for number, path in enumerate(files.values()):
        videos.write(path.parent.mkdir() or path, [videos.numbered(number)] * (9 * number + 1))
    before = [path.read_bytes() for path in files.values()]
    # The folder of the videos is the page's own; and two files have one name.
    for copy in (False, True, False):
        shown, placed = view.with_videos(data, files, tmp_path, copy)
        assert [video["file"] for video in shown["videos"]] == ["videos/x.mp4", "videos/2_x.mp4"]
        assert placed.kept == 1
        assert [path.read_bytes() for path in files.values()] == before
        assert (tmp_path / "videos" / "2_x.mp4").read_bytes() == before[1]
    other = {"x": files["x.mp4"]}
    with pytest.raises(UserError, match="is another file"):
        view.with_videos({"videos": data["videos"][:1]}, other, tmp_path, True)
    assert files["x"].read_bytes() == before[0]


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("inside", ["videos", "others"])
def test_links_to_videos_are_kept_or_copied(tmp_path, copy, inside):
    real, link = tmp_path / "real.mp4", tmp_path / inside / "x.mp4"
    videos.write(real, [videos.numbered(1)])
    before = real.read_bytes()
    link.parent.mkdir()
    link.symlink_to(real)
    data = {"videos": [{"id": "x", "duration": 1.0, "truth": None, "found": []}]}
    for _ in range(2):
        view.with_videos(data, {"x": link}, tmp_path, copy)
        assert link.readlink() == real and real.read_bytes() == before
        assert (tmp_path / "videos" / "x.mp4").read_bytes() == before
    own = tmp_path / "videos" / "x.mp4"
    assert own.samefile(real) == (not copy or inside == "videos")


def test_what_has_a_videos_name_is_kept(tmp_path):
    source, there = tmp_path / "x.mp4", tmp_path / "videos" / "x.mp4"
    videos.write(source, [videos.numbered(1)])
    other = bytes(source.stat().st_size)
    data = {"videos": [{"id": "x", "duration": 1.0, "truth": None, "found": []}]}
    there.parent.mkdir()
    (tmp_path / "other.mp4").write_bytes(other)
    for make in (
        lambda: there.write_bytes(other),
        lambda: there.symlink_to(tmp_path / "other.mp4"),
        lambda: os.mkfifo(there),
    ):
        make()
        for copy in (False, True):
            with pytest.raises(UserError, match="videos/x.mp4: is another file than"):
                view.with_videos(data, {"x": source}, tmp_path, copy)
        assert there.is_fifo() or there.read_bytes() == other
        there.unlink()


def test_starts_without_the_heavy_libraries():
    code = "import sys, lofi_jax.view; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"jax", "flax", "grain", "tensorflow_datasets", "matplotlib"}
    assert not set(done.stdout.split()) & heavy


def test_what_cannot_be_is_one_line(folder, tmp_path):
    output = tmp_path / "page"
    ended = commands.run(*arguments(folder, output, "--subset=train"))
    assert commands.refused(ended, "no video in common with subset 'train'")
    ended = commands.run(*arguments(folder, output, f"--video_dir={tmp_path / 'none'}"))
    assert commands.refused(ended, "no such folder of videos")
    ended = commands.run(*arguments(folder, folder / "truth.json" / "page"))
    assert ended.returncode == 1 and "cannot be written" in ended.stderr


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        (None, 200, b"0123456789"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=4-100", 206, b"456789"),
        ("bytes=10-", 416, b""),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=0-" + "9" * 5000, 200, b"0123456789"),
    ],
)
def test_the_server_sends_ranges(tmp_path, header, status, content):
    (tmp_path / "video.mp4").write_bytes(b"0123456789")
    with server.server(tmp_path, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", running.server_port)
        # One connection for all: what is left of one answer would spoil the next.
        for _ in range(2):
            connection.request("GET", "/video.mp4", headers={"Range": header} if header else {})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (status, content)
            assert answer.headers["Content-Type"] == "video/mp4" or status == 416
        for path in ("/../secret", "/%00", "/video.mp4%00"):
            connection.request("GET", path, headers={"Range": "bytes=0-"})
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (404, True)
        connection.close()
        running.shutdown()


class Page:
    """What the tests ask of a page in the browser."""

    def __init__(self, driver):
        self.driver = driver

    def __call__(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def texts(self, selector):
        return self(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(x => x.textContent)"
        )

    def box(self, selector):
        return self(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()")

    def press(self, keys):
        self.driver.find_element("css selector", "body").send_keys(keys)

    def wait(self, script):
        end = time.monotonic() + 10
        while not self(script):
            assert time.monotonic() < end, f"not in 10 s: {script}"
            time.sleep(0.02)

    @property
    def time(self):
        return self("document.querySelector('video').currentTime")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(driver, written):
    """The page, opened from the disk; it complains of nothing, and asks for nothing elsewhere."""
    driver.get("about:blank")
    driver.get((written[0] / "index.html").as_uri())
    page = Page(driver)
    page.wait("document.querySelectorAll('.bar').length > 0")
    yield page
    complaints = [line["message"] for line in driver.get_log("browser")]
    assert not [one for one in complaints if "favicon" not in one]
    scripts = page("performance.getEntriesByType('resource').map(x => x.name)")
    assert all(name.startswith("file:") for name in scripts)


def open_video(page, name):
    page.driver.execute_script(
        "[...document.querySelectorAll('.videos button')]"
        ".find(x => x.querySelector('.id').textContent === arguments[0]).click()",
        name,
    )
    page.wait("document.querySelector('.stage h2').textContent !== ''")


@pytest.mark.browser
def test_a_click_on_a_segment_plays_it_to_its_end(page):
    open_video(page, PLAYED)
    page.wait("document.querySelector('video').readyState >= 2")
    page.click(".bar[data-row='0'][data-index='1']")
    page.wait("!document.querySelector('video').paused")
    page.wait("document.querySelector('video').paused")
    assert page.time == pytest.approx(2, abs=0.05)
    details = page.texts(".details")[0]
    assert "double detection" in details and "tIoU 0.90" in details
    head = float(page("document.querySelector('.playhead').style.getPropertyValue('--at')"))
    assert head == pytest.approx(2 / 6, abs=0.02)
    assert "t=1.10&end=2" in page("location.hash") or "t=2.00" in page("location.hash")


@pytest.mark.browser
def test_dragging_seeks_the_video(page):
    from selenium.webdriver import ActionChains

    open_video(page, PLAYED)
    page.wait("document.querySelector('video').readyState >= 2")
    axis = page.driver.find_element("css selector", ".axis")
    width = axis.size["width"]
    mouse = ActionChains(page.driver, duration=50).move_to_element_with_offset(axis, -width // 4, 0)
    mouse.click_and_hold().move_by_offset(width // 2, 60).release().perform()
    page.wait("!document.querySelector('video').seeking")
    assert page.time == pytest.approx(6 * 0.75, abs=0.1)
    assert page("document.querySelector('video').paused")
    # A drag that begins on a segment seeks too, and does not play it.
    bar = page.driver.find_element("css selector", ".bar[data-row='-1'][data-index='0']")
    mouse = ActionChains(page.driver, duration=50).move_to_element(bar)
    mouse.click_and_hold().move_by_offset(width // 3, 0).release().perform()
    page.wait("!document.querySelector('video').seeking")
    assert page.time == pytest.approx(1.5 + 2, abs=0.1)
    assert page("document.querySelector('video').paused")


@pytest.mark.browser
def test_filters_leave_what_they_say(page):
    def shown(row):
        bars = f"document.querySelectorAll('.bar[data-row=\"{row}\"]')"
        return [int(one) for one in page(f"[...{bars}].map(x => x.dataset.index)")]

    def choose(selector, value):
        page.driver.execute_script(
            "const [on, value] = [document.querySelector(arguments[0]), arguments[1]];"
            "on.value = value;"
            "on.dispatchEvent(new Event(on.type === 'range' ? 'input' : 'change'));",
            selector,
            value,
        )

    open_video(page, PLAYED)
    assert sorted(shown(0)) == [0, 1, 2] and "3 of 4, score from 0.09" in page.texts(".name")[1]
    # The second system's scores run from -1 to 5, so a tenth of the way is -0.4.
    assert shown(1) == [0] and "1 of 1, score from -0.40" in page.texts(".name")[2]
    choose("#floor", "0")
    assert sorted(shown(0)) == [0, 1, 2, 3]
    chips = "".join(page.texts(".chips"))
    assert chips == (
        "all 5errors 3true positive 2double detection 1wrong label 1localization 0"
        "confusion 0background 1missed 2"
    )
    for kind, index in (("wrong label", 2), ("background", 3)):
        page.driver.execute_script(
            "[...document.querySelectorAll('.chips button')]"
            ".find(x => x.textContent.startsWith(arguments[0])).click()",
            kind,
        )
        assert shown(0) == [index] and shown(1) == []
        assert page.texts(".count")[0].startswith("1 of 3" if kind == "wrong label" else "2 of 3")
    assert "of any score" in page("document.querySelector('.chips button:last-child').title")
    choose("#tiou", "9")
    options = "[...document.querySelectorAll('#label option')]"
    choose("#label", page(f"{options}.find(x => x.textContent === 'run').value"))
    assert shown(0) == []


@pytest.mark.browser
def test_one_instance_is_no_instances(page):
    facts = dict(zip(page.texts(".videos .id"), page.texts(".videos .facts"), strict=True))
    assert facts[SILENT] == "6 s · 1 instance" and "2 instances" in facts[PLAYED]
    assert page.texts(".classes .facts") == ["2 instances", "3 instances"]


@pytest.mark.browser
def test_videos_are_sorted_and_found_by_keyboard_too(page):
    worst = [float(one) for one in page.texts(".videos .precision[data-system='0']")]
    assert worst == sorted(worst) and len(worst) == 3
    first = page.texts(".stage h2")[0]
    page.press("n")
    assert page.texts(".stage h2")[0] == page.texts(".videos .id")[1] != first
    page.press("p")
    assert page.texts(".stage h2")[0] == first
    page.press("/")
    assert page("document.activeElement.type") == "search"
    page.driver.switch_to.active_element.send_keys("two")
    assert page.texts(".videos .id") == [SILENT]
    page.driver.switch_to.active_element.send_keys("\ue00c")  # Escape
    page.press("?")
    assert page("document.querySelector('.help').open")


@pytest.mark.browser
def test_keys_play_step_and_go_from_error_to_error(page):
    open_video(page, PLAYED)
    page.wait("document.querySelector('video').readyState >= 2")
    page.driver.execute_script("document.activeElement.blur()")
    page.press("\ue014")  # right
    page.wait("!document.querySelector('video').seeking")
    assert page.time == pytest.approx(1, abs=0.01)
    page.press(" ")
    page.wait("!document.querySelector('video').paused")
    page.press("k")
    page.wait("document.querySelector('video').paused")
    seen = []
    for _ in range(4):
        page.press("e")
        seen.append(page("document.querySelector('.segments .chosen .type').textContent"))
    assert seen == ["missed by some", "double detection", "missed by some", "wrong label"]


@pytest.mark.browser
def test_what_cannot_play_is_said_and_its_timelines_stay(page):
    open_video(page, SILENT)
    page.wait("!document.querySelector('.note').hidden")
    assert "cannot play two.avi (mpeg4 (yuv420p) in a file .avi)" in page.texts(".note")[0]
    page.click(".bar[data-row='0']")
    assert "true positive" in page.texts(".details")[0]
    open_video(page, "three")
    assert "its file was not found" in page.texts(".note")[0]
    # The browser's own complaint about a format is expected, and nothing else.
    page.driver.get_log("browser")


@pytest.mark.browser
def test_names_of_classes_stay_text(page):
    open_video(page, PLAYED)
    assert not page("document.querySelectorAll('.viewer b b, .viewer span b').length")
    assert ODD in page.texts("#label option") and ODD in page.texts(".segments .label")


@pytest.mark.browser
def test_a_link_leads_to_its_moment(page, written):
    link = f"#video={PLAYED.replace('#', '%23').replace(' ', '%20')}&t=5.2&end=5.9&system=0"
    page.driver.get("about:blank")
    page.driver.get((written[0] / "index.html").as_uri() + link)
    page.wait("document.querySelector('.bar.chosen')")
    assert "background" in page.texts(".details")[0]
    page.driver.execute_script("location.hash = '#video=two&t=3'")
    page.wait("document.querySelector('.stage h2').textContent === 'two'")
    assert page("parseFloat(document.querySelector('.clock').textContent)") == 3


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True), (320, False)])
def test_nothing_overflows_at_any_width(written, tmp_path, width, dark):
    with chromium(tmp_path, width, 844, dark) as driver:
        driver.get((written[0] / "index.html").as_uri())
        page = Page(driver)
        page.wait("document.querySelectorAll('.bar').length > 0")
        for name in (PLAYED, SILENT):
            open_video(page, name)
            assert page("document.documentElement.scrollWidth") <= width
        shade = page("getComputedStyle(document.body).backgroundColor")
        assert (np.mean([int(x) for x in shade[4:-1].split(",")]) < 60) == dark
        if width < 600:
            assert not page("document.querySelector('.side').checkVisibility()")
            page.click(".open-side")
            assert page("document.querySelector('.side').checkVisibility()")
            assert page("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_a_hundred_videos_open_in_two_seconds(driver, tmp_path):
    draw = np.random.default_rng(0)
    ids = [f"v{i}" for i in range(100)]
    found = {}
    for video in ids:
        starts = draw.uniform(0, 500, 100)
        segments = np.stack([starts, starts + draw.uniform(1, 60, 100)], 1)
        found[video] = Detections(segments, draw.choice(["run", "jump"], 100), draw.random(100))
    systems = dict.fromkeys(("a", "b"), predictions.of_detections(found))
    data, _ = view.with_videos(side_by_side.unjudged(systems), None, tmp_path)
    view.write(tmp_path, "100 videos", data)
    driver.get((tmp_path / "index.html").as_uri())
    page = Page(driver)
    page.wait("document.querySelectorAll('.bar').length > 100")
    assert page("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000


@pytest.mark.browser
def test_row_names_stay_in_sight_when_zoomed(page):
    open_video(page, PLAYED)
    page.press("+++")
    assert page("document.querySelector('.inner').clientWidth > innerWidth")
    page.driver.execute_script("document.querySelector('.timeline').scrollLeft = 600")
    assert page.box(".row .name")["left"] < page.box(".timeline")["left"] + 5
    page.press("0")
    assert page("document.querySelector('.inner').clientWidth < innerWidth")


@pytest.mark.browser
def test_served_videos_can_be_sought(driver, folder):
    with commands.start(*arguments(folder, folder / "served", "--serve", "--port=0")) as process:
        try:
            address = next(line for line in process.stdout if line.startswith("http")).split()[0]
            driver.get(address)
            page = Page(driver)
            page.wait("document.querySelectorAll('.bar').length > 0")
            open_video(page, PLAYED)
            page.wait("document.querySelector('video').readyState >= 2")
            page.driver.execute_script("document.querySelector('video').currentTime = 4.5")
            page.wait("!document.querySelector('video').seeking")
            assert page.time == pytest.approx(4.5)
            process.send_signal(2)
            assert process.wait(10) == 0
        finally:
            process.kill()
        driver.get_log("browser")


def show(driver, folder, systems):
    """A page of one video of 60 s, without a ground truth and a file.

    Args:
        systems: detections by the system's name.
    """
    found = {name: predictions.of_detections({"one": one}) for name, one in systems.items()}
    data, _ = view.with_videos(side_by_side.unjudged(found), None, folder)
    view.write(folder, "one video", data)
    driver.get((folder / "index.html").as_uri())
    page = Page(driver)
    page.wait("document.querySelectorAll('.bar').length > 0")
    return page


@pytest.mark.browser
def test_the_lists_leave_the_buttons_free_however_long_a_class_is(driver, tmp_path):
    label = "making a very elaborate breakfast of three courses " * 20
    many = Detections([[i, i + 9] for i in range(50)], [label] * 50, np.linspace(1, 0.5, 50))
    page = show(driver, tmp_path, {"a": many})
    page.click(".bar[data-row='0']")
    boxes = [page.box(part) for part in (".details", ".segments", ".transport")]
    assert all(above["bottom"] < below["top"] for above, below in itertools.pairwise(boxes))


@pytest.mark.browser
def test_every_system_has_a_colour(driver, tmp_path):
    page = show(driver, tmp_path, dict.fromkeys("abcdefghij", Detections([[1, 9]], ["run"], [1.0])))
    shades = page(
        "[...document.querySelectorAll('.summary .mark')]"
        ".map(x => getComputedStyle(x).backgroundColor)"
    )
    assert len(set(shades)) == 8 and "rgba(0, 0, 0, 0)" not in shades
    assert shades[8:] == shades[:2]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 320])
def test_times_and_scores_are_never_cut_and_a_cut_class_has_a_title(tmp_path, width):
    label = "a class of many letters, in many words"
    late = Detections([[1, 2], [4000, 4001]], [label] * 2, [0.0061, 0.006])
    with chromium(tmp_path / "profile", width, 844) as driver:
        page = show(driver, tmp_path, {"a": late})
        assert page.texts(".segments .score") == ["0.006", "0.006"]
        cut = (
            "[...document.querySelectorAll('.segments {}')].map(x => x.scrollWidth > x.clientWidth)"
        )
        assert not any(page(cut.format(".time")) + page(cut.format(".score")))
        assert all(page(cut.format(".label")))
        assert page("document.querySelector('.segments .label').title") == label
        assert page.box(".segments .label")["width"] > 47
        assert page("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_letters_in_bars_are_whole(driver, tmp_path):
    page = show(driver, tmp_path, {"a": Detections([[1, 50]], ["juggling"], [1.0])})
    assert page.box(".bar span")["bottom"] < page.box(".bar")["bottom"]
    text = "document.querySelector('.bar span')"
    assert page(f"{text}.scrollHeight <= {text}.clientHeight")
