"""The diagnose command as a user calls it, and its page in a real browser."""

import base64
import html.parser
import json
import re
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from browser import chromium
from commands import ROOT, misused, refused, run
from test_evaluate import entry, video, write

from lofi_jax.reports import pages


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where annotations and predictions of a few videos lie."""
    folder = tmp_path_factory.mktemp("diagnose")
    database, results = {}, {}
    for i in range(6):
        key = f"video <{i}>"
        database[key] = video((10, 20, "run & jump"), (40, 40 + 10 * (i + 1), "swim"))
        shift = 2 * i
        results[key] = [
            entry(10 + shift, 20 + shift, "run & jump", 0.9 - i / 10),
            entry(11 + shift, 20 + shift, "run & jump", 0.5),
            entry(40, 50 + 10 * i, "swim" if i % 2 else "run & jump", 0.8),
            entry(90, 95, "swim", 0.3),
        ]
    database["odd"] = video((5, 5, "swim"), (0, 200, "swim"))
    (folder / "truth.json").write_text(json.dumps({"database": database}))
    write(folder / "found.json", results)
    return folder


def arguments(folder, output, *more):
    truth, found = (f"{folder}/{name}.json" for name in ("truth", "found"))
    return [
        "diagnose",
        f"--ground_truth={truth}",
        f"--predictions={found}",
        "--subset=val",
        f"--output_dir={output}",
        *more,
    ]


@pytest.fixture(scope="module")
def report(folder):
    output = folder / "out" / "report"
    ended = run(*arguments(folder, output, "--tiou=0.5", "--videos=2", "--buckets=quintiles"))
    assert ended.returncode == 0, ended.stderr
    return output, ended


def test_writes_what_it_prints(report):
    output, ended = report
    result = json.loads((output / "diagnosis.json").read_text())
    assert f"average mAP {100 * result['average_mAP']:.2f}" in ended.stdout
    assert "2 instances without length or past their video left out" in ended.stdout
    assert result["instances_left_out"] == 2
    shares = result["false_positives"]["by_tiou"]["0.50"]
    assert sum(shares.values()) == pytest.approx(1)
    # Six of 24 lie where nothing is, three have the other's label; the rest by their shift.
    assert shares["background"] * 24 >= 6
    assert shares["wrong label"] * 24 == pytest.approx(3)
    for name, gain in result["false_positives"]["gain"].items():
        assert re.search(
            rf"^{name} .*{re.escape(f'{100 * gain:+.2f}')}$", ended.stdout, re.MULTILINE
        )
    assert set(result["instances"]) == {"coverage", "length", "number", "context"}
    assert [v["video"] for v in result["best_videos"]] == ["video <1>", "video <0>"]
    best, worst = (result[key][0] for key in ("best_videos", "worst_videos"))
    assert best["average_precision"] > worst["average_precision"]
    for name in ("false_positives.png", "missed.png", "precision.png"):
        assert cv2.imread(str(output / name)).std() > 10


def test_log_scores_backward_segments_and_other_videos_are_diagnosed(folder, tmp_path):
    found = json.loads((folder / "found.json").read_text())["results"]
    for entries in found.values():
        for one in entries:
            one["score"] -= 5
        entries.append(entry(30, 20, "swim", -1.0))
    found["elsewhere"] = [entry(0, 10, "swim", 0.0) for _ in range(10)]
    write(tmp_path / "odd.json", found)
    (tmp_path / "truth.json").write_text((folder / "truth.json").read_text())
    whole = {}
    for flag in ("--noignore_other_videos", "--ignore_other_videos"):
        output = tmp_path / f"report{flag}"
        odd = [f"--predictions={tmp_path / 'odd.json'}", "--tiou=0.5", "--videos=1", flag]
        ended = run(*arguments(folder, output, *odd))
        assert ended.returncode == 0, ended.stderr
        assert "6 predictions end before they start" in ended.stderr
        whole[flag] = json.loads((output / "diagnosis.json").read_text())
    counted, ignored = whole.values()
    assert counted["average_mAP"] < ignored["average_mAP"]
    assert (
        counted["false_positives"]["predictions"] == 10 + ignored["false_positives"]["predictions"]
    )


class Reader(html.parser.HTMLParser):
    """Notes what a page refers to, and checks that its tags nest."""

    def __init__(self):
        super().__init__()
        self.open, self.references, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "srcset", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_parses_and_refers_to_nothing_outside(report):
    text = (report[0] / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.tags.count("img") == 3 and reader.tags.count("table") == 2
    images = [reference for reference in reader.references if reference.startswith("data:")]
    links = [reference for reference in reader.references if reference not in images]
    assert len(images) == 3 and len(links) > 2 + 2
    assert all(link.startswith("#video=") for link in links)
    for reference in images:
        kind, data = reference.split(",", 1)
        assert kind == "data:image/png;base64"
        image = np.frombuffer(base64.b64decode(data, validate=True), np.uint8)
        assert cv2.imdecode(image, cv2.IMREAD_COLOR) is not None
    assert "://" not in text and "@import" not in text and "url(" not in text
    # The viewer's own two, and a policy that lets no other run.
    assert reader.tags.count("script") == 2 and "link" not in reader.tags
    assert "default-src &#x27;none&#x27;; script-src &#x27;sha256-" in text
    assert "video <" not in text and "video &lt;" in text


@pytest.mark.browser
@pytest.mark.parametrize("width", [1000, 390])
def test_a_link_to_an_error_leads_to_its_moment(report, tmp_path, width):
    with chromium(tmp_path, width, 900) as driver:
        driver.get((report[0] / "report.html").as_uri())
        count = "return [...document.images].filter(x => x.naturalWidth > 100).length"
        assert driver.execute_script(count) == 3
        link = "return document.querySelector('a[href*=\"t=40.0&end=50.0&system=0\"]')"
        driver.execute_script(link).click()
        details = "return document.querySelector('.details').textContent"
        wait = time.monotonic() + 10
        while "kind" not in (told := driver.execute_script(details)):
            assert time.monotonic() < wait, told
        assert "40.00 to 50.00 s" in told and "wrong label" in told
        assert driver.execute_script("return scrollY") > 500
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert not driver.get_log("browser")


@pytest.mark.browser
def test_a_phone_scrolls_over_tables_and_plots_that_are_too_wide(report, tmp_path):
    with chromium(tmp_path, 390, 844) as driver:
        driver.get((report[0] / "report.html").as_uri())
        lines = driver.execute_script(
            "return [...document.querySelectorAll('td')].map(x => {"
            "const r = document.createRange(); r.selectNodeContents(x);"
            "return new Set([...r.getClientRects()].map(y => y.top)).size; })"
        )
        assert len(lines) > 50 and max(lines) == 1
        sizes = "return [...document.images].map(x => [x.clientWidth, x.naturalWidth])"
        assert all(shown == own for shown, own in driver.execute_script(sizes))
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_text_is_escaped():
    made = pages.page("<a>", [pages.heading("&"), pages.paragraph("<b>"), pages.table([["<c>"]])])
    assert "<title>&lt;a&gt;</title>" in made
    for text in ("<h2>&amp;</h2>", "<p>&lt;b&gt;</p>", "<th>&lt;c&gt;</th>"):
        assert text in made


def test_what_cannot_be_is_one_line(folder, tmp_path):
    ended = run(*arguments(folder, tmp_path / "out", "--tiou=2"))
    assert misused(ended, "--tiou=2: not first:step:last")
    ended = run(*arguments(folder, tmp_path / "out", "--subset=train"))
    assert refused(ended, "truth.json: no video is of subset 'train', only of 'val'")
    ended = run(*arguments(folder, folder / "truth.json" / "out"))
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "truth.json" in last and "cannot be written" in last
    (tmp_path / "out" / "missed.png").mkdir(parents=True)
    ended = run(*arguments(folder, tmp_path / "out"))
    assert refused(ended, "missed.png: cannot be written (it is a folder): move or delete it")
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_starts_without_the_heavy_libraries():
    for command in ("diagnose", "compare", "fuse", "validate"):
        code = f"import sys, lofi_jax.{command}; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        heavy = {"jax", "flax", "optax", "orbax", "grain", "tensorflow_datasets", "cv2"}
        assert not set(done.stdout.split()) & heavy
