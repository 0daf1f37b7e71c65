"""Fill the tables of README.md and docs/ from the rows that were measured.

    python docs/fill_tables.py [--check]

A table stands between `<!-- KIND: PATH -->` and `<!-- end -->`, KIND being rows, bands, speed,
training, systems, steps, margin, filters, folds, readout, content, kill, batches, parts, hostile,
calls, load, compression, voices, paper, scale, sensitivity, validation or speech and PATH relative
to the project; everything between is replaced. For a suite it is `paper: PATH METHOD METRIC`,
`sensitivity: PATH METRIC`, and, of speech or of music, `speech: PATH TABLE WORDS`, see
`fullband.evaluate.judge.judge_table`, or `speech: PATH speed`, `oracle` or `detail`. With --check
nothing is written, and a document whose tables are not those of the stored rows is an error.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

from fullband.evaluate.judge import judge_rows, judge_table
from fullband.evaluate.paper import CORPORA, paper_table, read_suite, sensitivity_table
from fullband.evaluate.rate_distortion import aliasing_table, crossings, rate_table
from fullband.evaluate.report import markdown_table, read_rows
from fullband.evaluate.stored import read_kept

PROJECT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "docs/results.md",
    "docs/reliability.md",
    "docs/scale.md",
    "docs/live.md",
    "docs/server.md",
    "docs/applications.md",
    "docs/web.md",
)
_TABLE = re.compile(
    r"(<!-- (rows|speed|content|training|systems|steps|bands|paper|sensitivity|margin|filters|folds"
    r"|readout|validation|speech|kill|batches|parts|hostile|scale|calls|load|compression|voices"
    r"|page): "
    r"(\S+)((?: \S+)*?) -->\n)"
    r"(.*?)(<!-- end -->)",
    re.DOTALL,
)


def main() -> None:
    stale = []
    for name in DOCUMENTS:
        path = PROJECT / name
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(after, encoding="utf-8")
                print(f"updated {name}")
    if stale and "--check" in sys.argv:
        sys.exit(f"tables of {', '.join(stale)} are not those of the stored rows")


def filled(text: str) -> str:
    """The text with every marked table made anew."""

    def table(match: re.Match[str]) -> str:
        opening, kind, path, words, _, end = match.groups()
        make = {
            "bands": bands_table,
            "batches": batches_table,
            "calls": calls_table,
            "compression": compression_table,
            "content": content_table,
            "filters": filters_table,
            "folds": folds_table,
            "validation": validation_table,
            "hostile": hostile_table,
            "kill": kill_table,
            "load": load_table,
            "margin": margin_table,
            "page": page_table,
            "paper": suite_table,
            "parts": parts_table,
            "sensitivity": suite_table,
            "speech": speech_suite_table,
            "readout": readout_table,
            "rows": rows_table,
            "scale": scale_table,
            "speed": speed_table,
            "steps": steps_table,
            "systems": systems_table,
            "training": training_table,
            "voices": voices_table,
        }[kind]
        return f"{opening}{make(PROJECT / path, *words.split())}\n{end}"

    return _TABLE.sub(table, text)


def rows_table(path: Path) -> str:
    """Scores per system, and below them what was measured, where and from which commit."""
    rows = read_rows(path)
    return f"{markdown_table(rows)}\n\n{origin(rows[0])}. Rows: `{path.relative_to(PROJECT)}`."


def suite_table(path: Path, *words: str) -> str:
    """Of a suite's rows: METHOD and METRIC for all systems, METRIC alone for what was trained on
    one kind of input and tested on another; and where they were measured."""
    stored = read_suite(path)
    table = paper_table(stored, *words) if len(words) == 2 else sensitivity_table(stored, *words)
    own = [one for one in stored if len(words) == 1 or one.task.method == words[0]]
    origins = [place for one in own for place in (one.about, *one.about.get("later", {}).values())]
    return f"{table}\n\n{origins_of(origins)}. Rows: `{path.relative_to(PROJECT)}`."


def speech_suite_table(path: Path, what: str, *words: str) -> str:
    """A table of the speech model's suite and which model it is about; a sentence where nothing has
    been measured yet."""
    others = {"speed": speech_speed_table, "oracle": oracle_table, "detail": detail_table}
    index = path / "suite.json"
    source = path / f"{what}.json" if what in others else index
    if not source.is_file():
        return "Not measured yet."
    if what in others:
        return others[what](source)
    about = json.loads(index.read_text(encoding="utf-8"))
    model = f"model `{about['model']}`" + (f" ({about['sha256'][:12]})" if about["sha256"] else "")
    own = [row for row in judge_rows(path, what) if row["system"] == about["model"]]
    where = f"{model}; {origins_of(own or [about])}"
    if not about["sha256"]:
        where = f"No model judged yet, the baseline stands in its place; {where}"
    table = judge_table(path, what, *words)
    return f"{table}\n\n{where}. Rows: `{path.relative_to(PROJECT)}`."


def detail_table(path: Path) -> str:
    """What the knob trades on the published clips, a line per setting."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| detail | SNR against the resampled input, dB | lsd | ViSQOL |", "|---|---|---|---|"]
    for row in measured["curve"]:
        lines.append(
            f"| {row['detail']:g} | {row['snr_db']:+.2f} | {row['lsd']:.2f} | {row['visqol']:.2f} |"
        )
    about = f"model `{measured['model']}` ({measured['sha256'][:12]}), {measured['clips']} clips"
    return (
        "\n".join(lines)
        + f"\n\n{about}; {place(measured)}. Figures: `{path.relative_to(PROJECT)}`."
    )


def content_table(path: Path) -> str:
    """How often speech and music are taken for each other, a line per corpus and split."""
    if not path.is_file():
        return "Not measured yet."
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| what | excerpts | taken for the other |", "|---|---|---|"]
    lines += [
        f"| {row['what']} | {row['excerpts']} | {row['wrong']} |" for row in measured["judged"]
    ]
    return "\n".join(lines) + f"\n\n{place(measured)}. Figures: `{path.relative_to(PROJECT)}`."


def hostile_table(path: Path, what: str) -> str:
    """What came of broken files (`cases`), of hours of silence in few bytes (`bombs`), or what the
    sandbox costs (`sandbox`)."""
    if not path.is_file():
        return "Not measured yet."
    found = json.loads(path.read_text(encoding="utf-8"))
    bombs = ("| recording | file | processor time | peak memory |", "|---|---|---|---|")
    cost = found["sandbox"]
    lines = {
        "cases": [
            "| cases | |",
            "|---|---|",
            f"| broken files, of {found['formats']} formats | {found['cases']} |",
            f"| read | {found['read']} |",
            f"| refused in one line | {found['refused']} |",
            f"| wrong | {found['wrong']} |",
            f"| of all, in the sandbox too | {found['sandboxed']} |",
            f"| most processor time of one | {found['slowest_s']:g} s ({found['most_s']:g} "
            "allowed) |",
            f"| most that one raised the peak of memory by | {found['most_grown_mib']:g} MiB "
            f"({found['bound_mib']} allowed) |",
            f"| time of the run, {found['jobs']} workers | {found['seconds']:g} s |",
            f"| processor time of the run | {found['cpu_s']:g} s |",
        ],
        "bombs": [
            *bombs,
            *(
                f"| {row['hours']} h | {row['kilobytes']} kB | {row['cpu_s']:g} s | "
                f"{row['peak_mib']} MiB |"
                for row in found["bombs"]
            ),
        ],
        "sandbox": [
            f"| {cost['minutes']} min of stereo FLAC | here | sandbox |",
            "|---|---|---|",
            f"| until it is open | {cost['open_here_s']:g} s | {cost['open_s']:g} s |",
            f"| until it is read | {cost['read_here_s']:g} s | {cost['read_s']:g} s |",
        ],
    }[what]
    where = f"{place(found)}, load {found['load_before']} before"
    return "\n".join(lines) + f"\n\n{where}. Figures: `{path.relative_to(PROJECT)}`."


def speech_speed_table(path: Path) -> str:
    """The whole path in one process beside sinc resampling in the same run, and the cold start."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| model | recording | times real time | sinc's time = 1 | the graph alone | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        alone = row.get("graph_times_real_time")
        lines.append(
            f"| {row['model']} | {row['length_s']} s, {row['channels']} ch | "
            f"{row['times_real_time']:g} | {row['times_slower_than_sinc']:g} | "
            f"{'-' if alone is None else f'{alone:g}'} | {row['peak_mib']} MiB |"
        )
    where = (
        f"{measured['source_rate']} to {measured['target_rate']} Hz; cold start of the command on "
        f"ten seconds, to the first sample, {measured['cold_start_s']:g} s; "
        f"{measured['machine']}, load {measured['load_before']} before; "
        f"commit {measured['commit']}, {measured['date']}"
    )
    return "\n".join([*lines, "", f"{where}. Figures: `{path.relative_to(PROJECT)}`."])


def scale_table(path: Path) -> str:
    """Hours of audio per core-hour, and what ten million hours take at the rate of messages."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| recordings | workers | hours per core-hour | on the clock, with the start |",
        "|---|---|---|---|",
    ]
    for row in measured["rows"]:
        lines.append(
            f"| {row['files']} of {row['length_s']} s | {row['workers']} | "
            f"{row['hours_per_cpu_hour']:g} | {row['hours_per_worker_hour']:g} |"
        )
    per_hour = [row["hours_per_cpu_hour"] for row in measured["rows"] if row["kind"] == "messages"]
    core_hours = 1e7 / min(per_hour)
    where = (
        f"model `{measured['model']}`; {measured['machine']}, load {measured['load_before']} "
        f"before; commit {measured['commit']}, {measured['date']}"
    )
    return "\n".join(
        [
            *lines,
            "",
            f"Ten million hours at {min(per_hour):g} hours per core-hour: {core_hours:,.0f} "
            f"core-hours, which are {core_hours / 1000 / 24:.0f} days of 1,000 cores.",
            "",
            f"{where}. Figures: `{path.relative_to(PROJECT)}`.",
        ]
    )


def oracle_table(path: Path) -> str:
    """What the true levels are worth, by cutoff: `lsd` and ViSQOL of each output."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    outputs = next(iter(measured["scores"].values()))
    lines = [f"| cutoff | {' | '.join(outputs)} |", "|---" * (1 + len(outputs)) + "|"]
    for cutoff, scores in measured["scores"].items():
        cells = (f"{each['lsd']:.2f} / {each['visqol']:.2f}" for each in scores.values())
        lines.append(f"| {int(cutoff) / 1000:g} kHz | {' | '.join(cells)} |")
    where = (
        f"`lsd` / ViSQOL, {len(measured['files'])} files of {measured['corpus']}, split "
        f"{measured['split']}; commit {measured['commit']}, {measured['machine']}, "
        f"{measured['date']}"
    )
    return "\n".join([*lines, "", f"{where}. Figures: `{path.relative_to(PROJECT)}`."])


def calls_table(path: Path, what: str) -> str:
    """What a packet of one stream takes (`one`), what batches of calls take (`calls`), how late
    calls in real time are (`paced`), what an hour left (`hour`), or what is added below 300 Hz
    (`lows`)."""
    if not path.is_file():
        return "Not measured yet."
    found = json.loads(path.read_text(encoding="utf-8"))
    lines = {"one": one_lines, "calls": call_lines, "paced": paced_lines, "hour": hour_lines}
    lines["lows"] = low_lines
    on = f"{found['cores']} cores" if "cores" in found else f"{found['recordings']} recordings"
    text = "\n".join(lines[what](found))
    return f"{text}\n\n{on}; {place(found)}. Figures: `{path.relative_to(PROJECT)}`."


def load_table(path: Path) -> str:
    """What became of many files that were sent to a server at once."""
    if not path.is_file():
        return "Not measured yet."
    found = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        f"| {found['uploads']} files of {found['audio_s']:g} s at once | |",
        "|---|---|",
        f"| lost, or not what the others are | {found['lost'] + found['different']} |",
        f"| asked again after a 429 | {found['asked_again']} times |",
        f"| until a client has its file, median | {found['p50_s']:.1f} s |",
        f"| 95 % | {found['p95_s']:.1f} s |",
        f"| all of them | {found['seconds']:.1f} s |",
        f"| times real time | {found['times_real_time']:.1f} |",
        f"| the server's memory before, and at most | {found['before_mib']:.0f} MiB, "
        f"{found['peak_mib']:.0f} MiB |",
    ]
    where = f"{found['cores']} cores; {place(found)}"
    return "\n".join(lines) + f"\n\n{where}. Figures: `{path.relative_to(PROJECT)}`."


def one_lines(found: dict[str, Any]) -> list[str]:
    lines = [
        "| stream | packet | median | 99 % | times real time | delay, counted | by an impulse |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["one"]:
        for packet in (10, 20):
            work = row[f"work_ms_{packet}"]
            lines.append(
                f"| {row['source_rate'] / 1000:g} to {row['target_rate'] / 1000:g} kHz "
                f"| {packet} ms | {work['p50']:.2f} ms | {work['p99']:.2f} ms "
                f"| {row[f'times_real_time_{packet}']:.1f} | {row['delay_ms']:.1f} ms "
                f"| {row['impulse_ms']:.1f} ms |"
            )
    return lines


def call_lines(found: dict[str, Any]) -> list[str]:
    lines = ["| calls | median | 99 % | longest | under half a packet |", "|---|---|---|---|---|"]
    for row in found["calls"]:
        work, held = row["work_ms"], "yes" if row["held"] else "no"
        lines.append(
            f"| {row['calls']} | {work['p50']:.1f} ms | {work['p99']:.1f} ms "
            f"| {work['longest']:.1f} ms | {held} |"
        )
    return lines


def paced_lines(found: dict[str, Any]) -> list[str]:
    lines = ["| calls | back after, median | 99 % | longest | bypassed |", "|---|---|---|---|---|"]
    for row in found["paced"]:
        late = row["late_ms"]
        lines.append(
            f"| {row['calls']} | {late['p50']:.0f} ms | {late['p99']:.0f} ms "
            f"| {late['longest']:.0f} ms | {100 * row['bypassed']:.0f} % |"
        )
    return lines


def hour_lines(found: dict[str, Any]) -> list[str]:
    hour = found["hour"]
    first, last = hour["resident_mib"][1], hour["resident_mib"][-1]
    return [
        "| an hour of one stream | |",
        "|---|---|",
        f"| seconds | {hour['seconds']} |",
        f"| samples too few or many | {hour['samples_missing']} |",
        f"| the last second against the same one in the first minute | {hour['differs']:g} |",
        f"| memory after a twelfth, and at the end | {first:.1f} MiB, {last:.1f} MiB |",
        f"| times real time | {hour['times_real_time']:.1f} |",
    ]


def low_lines(found: dict[str, Any]) -> list[str]:
    lines = [
        "| from 70 to 280 Hz | lsd | level against the original | SNR | where it has none |",
        "|---|---|---|---|---|",
    ]
    for name in ("without", "with"):
        row = found[name]
        quiet = f"{row['quiet_db']:.0f} dB (the original {row['quiet_original_db']:.0f} dB)"
        lines.append(
            f"| {name} lows | {row['lsd']:.2f} | {row['level_db']:+.1f} dB "
            f"| {row['snr_db']:.1f} dB | {quiet} |"
        )
    return lines


def page_table(path: Path, what: str) -> str:
    """How many times real time the page runs models (`speeds`), or what opening it takes
    (`start`)."""
    if not path.is_file():
        return "Not measured yet."
    found = json.loads(path.read_text(encoding="utf-8"))
    if what == "speeds":
        kinds = {
            "python": "`fullband.enhance`",
            "browser": "browser, with the headers",
            "browser, one thread": "browser, without",
        }
        models = [name for name in found["python"] if name != "threads"]
        lines = [f"| times real time | threads | {' | '.join(f'`{name}`' for name in models)} |"]
        lines.append("|---" * (2 + len(models)) + "|")
        for kind, name in kinds.items():
            figures = " | ".join(f"{found[kind][model]:.1f}" for model in models)
            lines.append(f"| {name} | {found[kind]['threads']} | {figures} |")
    else:
        start = found["start"]
        sizes = start["bytes"]
        example = f"the example of {start['example_s']:.1f} s is wide, after"
        lines = ["| | |", "|---|---|"]
        lines += [f"| bytes sent: {name} | {size / 1e6:.2f} MB |" for name, size in sizes.items()]
        lines += [
            f"| the page is there after | {start['shown_s']:.1f} s |",
            f"| {example} opening the page | {start['opened_to_wide_s']:.1f} s |",
            f"| {example} it was dropped on a page in use | {start['dropped_to_wide_s']:.1f} s |",
        ]
    text = "\n".join(lines)
    of = f"{found['cores']} cores; {place(found)}. Figures: `{path.relative_to(PROJECT)}`."
    return f"{text}\n\n{of}"


def compression_table(path: Path, what: str, *words: str) -> str:
    """Points of a codec (`KIND CODEC METRIC`), where a narrow band wins (`crossings`), or what a
    filter before the encoder is worth (`aliasing`)."""
    rows = read_kept(path)
    if not rows:
        return "Not measured yet."
    if what == "crossings":
        text = "\n".join(f"- {line}." for line in crossings(rows))
    elif what == "aliasing":
        text = aliasing_table(rows)
    else:
        text = rate_table(rows, what, *words)
        rows = [row for row in rows if row["kind"] == what]
    files = len({row["file"] for row in rows})
    return f"{text}\n\n{files} files; {origins_of(rows)}. Rows: `{path.relative_to(PROJECT)}`."


def voices_table(path: Path) -> str:
    """Synthetic voices before and after, and real ones beside them."""
    if not path.is_file():
        return "Not measured yet."
    found = json.loads(path.read_text(encoding="utf-8"))
    bands = [f"{low / 1000:g} to {high / 1000:g} kHz" for low, high in found["bands_hz"]]
    lines = [
        "| voice | rate | content to | | DNSMOS | " + " | ".join(bands) + " | times real time |",
        "|---|---|---|---|---|" + "---|" * (len(bands) + 1),
    ]
    for row in found["voices"]:
        for name in [name for name in row if isinstance(row[name], dict)]:
            one = row[name]
            levels = " | ".join(f"{level:.0f} dB" for level in one["levels_db"])
            speed = f"{one['times_real_time']:.0f}" if "times_real_time" in one else ""
            lines.append(
                f"| {row['voice']} | {row['rate'] / 1000:g} kHz | {one['bandwidth_hz'] / 1000:.1f} "
                f"kHz | {name} | {one['dnsmos']:.2f} | {levels} | {speed} |"
            )
    real = found["real"]
    levels = " | ".join(
        f"{mean:.0f} ± {spread:.0f} dB"
        for mean, spread in zip(real["mean"], real["spread"], strict=True)
    )
    lines.append(f"| {real['recordings']} recordings of real voices | | | | | {levels} | |")
    return "\n".join(lines) + f"\n\n{place(found)}. Figures: `{path.relative_to(PROJECT)}`."


def origin(measured: dict[str, Any]) -> str:
    """What was measured, where, from which commit and when."""
    return (
        f"{measured['corpus']}, split {measured['split']}; {measured['method']}, "
        f"{measured['narrow_rate']} to {measured['sample_rate']} Hz; {place(measured)}"
    )


def place(measured: dict[str, Any]) -> str:
    """From which commit, where and when."""
    return f"commit {measured['commit']}, {measured['machine']}, {measured['date']}"


def origins_of(measured: list[dict[str, Any]]) -> str:
    """The same of several: every commit, machine and date that there is among them."""
    if len({place(one) for one in measured}) == 1:
        return place(measured[0])
    found = (sorted({one[name] for one in measured}) for name in ("commit", "machine", "date"))
    commits, machines, dates = (", ".join(each) for each in found)
    return f"commit {commits}; {machines}; {dates}"


def speed_table(path: Path) -> str:
    """Times real time and peak memory of whole processes."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| model | recording | times real time | sinc's time = 1 | peak memory |",
        "|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        lines.append(
            f"| {row['model']} | {row['length_s']} s | {row['times_real_time']:g} | "
            f"{row['times_slower_than_sinc']:g} | {row['peak_mib']} MiB |"
        )
    origin = (
        f"{measured['source_rate']} to {measured['target_rate']} Hz; {measured['machine']}, load "
        f"{measured['load_before']} before; commit {measured['commit']}, {measured['date']}"
    )
    return "\n".join([*lines, "", f"{origin}. Figures: `{path.relative_to(PROJECT)}`."])


def systems_table(path: Path) -> str:
    """Parameters and speed of the suite's systems."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| system | parameters | times real time |", "|---|---|---|"]
    for row in measured["rows"]:
        lines.append(f"| {row['system']} | {row['parameters']:,} | {row['times_real_time']:g} |")
    where = (
        f"4 to 16 kHz; {measured['cores']} cores, {measured['machine']}, load "
        f"{measured['load_before']} before; commit {measured['commit']}, {measured['date']}"
    )
    return "\n".join([*lines, "", f"{where}. Figures: `{path.relative_to(PROJECT)}`."])


def steps_table(path: Path) -> str:
    """What a step of a training takes, and a whole one."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| width | parameters | a step, s | 400 epochs, days |", "|---|---|---|---|"]
    for row in measured["rows"]:
        cells = [f"{row['width']:g}", f"{row['parameters']:,}", f"{row['step_s']:.2f}"]
        lines.append("| " + " | ".join([*cells, f"{row['days']:.1f}"]) + " |")
    where = f"{measured['cores']} cores, load {measured['load_before']} before"
    return "\n".join([*lines, "", f"{where}; {_measured(measured, path)}"])


def bands_table(path: Path) -> str:
    """The energy of each system's error by band."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    edges = [f"{edge / 1000:g}" for edge in measured["edges_hz"]]
    heading = ["error, dB", *(f"{low}-{high} kHz" for low, high in itertools.pairwise(edges))]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for name, values in measured["bands_db"].items():
        lines.append("| " + " | ".join([name, *(f"{value:.1f}" for value in values)]) + " |")
    where = f"{origin(measured)}. Figures: `{path.relative_to(PROJECT)}`."
    return "\n".join([*lines, "", where])


def margin_table(path: Path) -> str:
    """What oracles would have to know to reach the paper's margins."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| task | spline | ideal low-pass | aim | everything to | or a share of | floor, at most | "
        "all but the floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        reached = row["needed_hz"] is None
        lines.append(
            f"| {_task(row)} | {row['spline']:.2f} | "
            f"{row['ideal']:.2f} | {row['aim']:.2f} | "
            + ("- | - | " if reached else f"{row['needed_hz']} Hz | {row['needed_share']:.0%} | ")
            + f"{row['floor_share']:.1%} | {row['below_floor_db']:.1f} |"
        )
    return "\n".join([*lines, "", _measured(measured, path)])


def _task(row: dict[str, Any]) -> str:
    """The title of a task of the paper's suite: `Piano, test, 4x`."""
    material = CORPORA[row["corpus"]]
    split = f", {row['split']}" if len(material.splits) > 1 else ""
    return f"{material.title}{split}, {row['ratio']}x"


def _measured(measured: dict[str, Any], path: Path) -> str:
    """Where figures come from."""
    where = f"commit {measured['commit']}; {measured['machine']}; {measured['date']}"
    return f"{where}. Figures: `{path.relative_to(PROJECT)}`."


def filters_table(path: Path) -> str:
    """The best linear filters of some lengths, beside the ideal low-pass."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| task | taps | batches | whole files | without their ends |",
        "|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        lines.append(
            f"| {_task(row)} | {row['taps']} | {row['batches']} | "
            f"{row['whole']:+.3f} | {row['middle']:+.3f} |"
        )
    return "\n".join([*lines, "", _measured(measured, path)])


def folds_table(path: Path) -> str:
    """What telling apart around the fold gains over the ideal low-pass, and what it could."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| task | files | equaliser | network's gains | best gains | lost below | won above |",
        "|---|---|---|---|---|---|---|",
    ]
    forms = dict.fromkeys(("equaliser", "network", "oracle"), "{:+.3f}")
    forms |= dict.fromkeys(("lost", "won"), "{:.1f}%")
    for row in measured["rows"]:
        cells = [form.format(row[kind]) if kind in row else "-" for kind, form in forms.items()]
        lines.append(" | ".join([f"| {_task(row)}", str(row["files"]), *cells]) + " |")
    return "\n".join([*lines, "", _measured(measured, path)])


def validation_table(path: Path) -> str:
    """Models validated as trainings validate them, side by side."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    cutoffs = [name for name in measured["rows"][0] if name.startswith("lsd_")]
    titles = [f"lsd, {int(name[4:]) // 1000} kHz" for name in cutoffs]
    columns = ["model", *titles, "similarity", "SNR lost, dB", "level above, dB"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in measured["rows"]:
        cells = [f"{row['model']} ({row['sha256']})", *(f"{row[name]:.3f}" for name in cutoffs)]
        cells += [f"{row['similarity']:.3f}", f"{row['snr_loss_db']:.2f}", f"{row['tilt_db']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    where = f"split {measured['split']}, {measured['files']} recordings at each cutoff at most"
    return "\n".join([*lines, "", f"{where}; {_measured(measured, path)}"])


def readout_table(path: Path) -> str:
    """What a network's last features hold, as SNR."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    scores = measured["snr_db"]
    lines = [
        "| " + " | ".join(scores) + " |",
        "|" + "---|" * len(scores),
        "| " + " | ".join(f"{value:.4f}" for value in scores.values()) + " |",
    ]
    where = (
        f"{measured['model']}; {measured['corpus']}, {measured['files']} files of split "
        f"{measured['split']}; commit {measured['commit']}; {measured['machine']}; "
        f"{measured['date']}"
    )
    return "\n".join([*lines, "", f"{where}. Figures: `{path.relative_to(PROJECT)}`."])


def kill_table(path: Path) -> str:
    """What was killed, how often, and what was checked afterwards."""
    if not path.is_file():
        return "Not measured yet."
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| killed | times |",
        "|---|---|",
        f"| the whole process group | {measured['group']} |",
        f"| the process that leads | {measured['leader']} |",
        f"| one worker, the group a little later | {measured['worker']} |",
        f"| of these while results were coming | {measured['while_working']} of "
        f"{measured['kills']} |",
        f"| batches brought to their end | {measured['batches']} of {measured['files']} files |",
        f"| results checked at the end | {measured['results']} |",
        f"| results in place without their `done` line, found | {measured['recovered']} |",
        f"| longest life of a process after its leader's | {measured['last_gone_s']:g} s |",
    ]
    setting = f"model `{measured['model']}`, {measured['jobs']} workers, seed {measured['seed']}"
    return "\n".join([*lines, "", f"{setting}; {measured_at(measured, path)}"])


def batches_table(path: Path) -> str:
    """Files per second of whole batches, by the number of processes."""
    if not path.is_file():
        return "Not measured yet."
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| files | processes x cores each | files per second | times real time "
        "| the same per core used | a second run |",
        "|---|---|---|---|---|---|",
    ]
    for row in measured["speed"]:
        each = max(1, measured["cores"] // row["jobs"])
        size = f"{row['files']} {row['what']}, {row['audio_s'] / 60:.0f} min"
        lines.append(
            f"| {size} | {row['jobs']} x {each} "
            f"| {row['files'] / row['seconds']:.1f} | {row['audio_s'] / row['seconds']:.1f} "
            f"| {row['audio_s'] / row['cpu_s']:.1f} | {row['again_s']:.1f} s |"
        )
    setting = f"model `{measured['model']}`"
    return "\n".join([*lines, "", f"{setting}; {measured_at(measured, path)}"])


def parts_table(path: Path) -> str:
    """Where the time of a batch goes, in one thread."""
    if not path.is_file():
        return "Not measured yet."
    measured = json.loads(path.read_text(encoding="utf-8"))
    rows = measured["parts"]
    names = sorted(rows[0]["seconds"], key=lambda name: -rows[0]["seconds"][name])
    sizes = [f"{row['files']} {row['what']}, {row['audio_s'] / 60:.0f} min" for row in rows]
    lines = [f"| part | {' | '.join(sizes)} |", "|---" * (1 + len(rows)) + "|"]
    for name in names:
        shares = (row["seconds"].get(name, 0.0) / sum(row["seconds"].values()) for row in rows)
        lines.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    sums = (sum(row["seconds"].values()) for row in rows)
    lines.append(f"| all | {' | '.join(f'{seconds:.1f} s' for seconds in sums)} |")
    return "\n".join([*lines, "", measured_at(measured, path)])


def measured_at(measured: dict[str, Any], path: Path) -> str:
    """Machine, load, commit and date, and where the figures are stored."""
    return (
        f"{measured['machine']}, load {measured['load_before']} before; commit "
        f"{measured['commit']}, {measured['date']}. Figures: `{path.relative_to(PROJECT)}`."
    )


def training_table(path: Path) -> str:
    """The learning curve: validation scores by step, at most ten lines of them.

    Logs of stages, each begun from the one before, stand one after the other in the file: where the
    minutes begin again, they and the steps are counted on.
    """
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    valid: list[dict[str, float]] = []
    steps = seconds = before = 0.0
    for line in (line for line in lines if line["kind"] == "valid"):
        if line["seconds"] < before:
            steps, seconds = valid[-1]["step"], valid[-1]["seconds"]
        before = line["seconds"]
        valid.append({**line, "step": line["step"] + steps, "seconds": line["seconds"] + seconds})
    every = -(-len(valid) // 10)
    shown = valid[::-every][::-1]
    columns = {"snr_db": "SNR dB", "lsd_2017": "lsd_2017", "lsd": "lsd"}
    if "snr_db" not in shown[0]:  # of a model of any bandwidth
        cutoffs = [name for name in shown[0] if name.startswith("lsd_")]
        columns = {name: f"lsd, {int(name[4:]) / 1000:g} kHz" for name in cutoffs}
        columns |= {"tilt_db": "level above, dB", "snr_loss_db": "SNR lost, dB"}
    table = [f"| step | minutes | {' | '.join(columns.values())} |"]
    table.append("|---" * (2 + len(columns)) + "|")
    for line in shown:
        scores = " | ".join(f"{line[name]:.2f}" for name in columns)
        table.append(f"| {line['step']:.0f} | {line['seconds'] / 60:.0f} | {scores} |")
    return "\n".join(table)


if __name__ == "__main__":
    main()
