"""Public corpora in little: archives of their shape from a server that is not theirs."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import tarfile
import zipfile

import pytest
import soundfile

from file_server import serving
from fullband.corpora import fetch as module
from fullband.corpora.fetch import fetch
from fullband.corpora.manifest import read_corpus
from fullband.corpora.overview import check_disjoint
from fullband.corpora.public import Archive
from fullband.corpora.registry import CORPORA, find_corpus
from fullband.corpora.table import read_rows
from fullband.errors import DownloadError, OutputError, SettingsError
from signals import noise


def sound(container="WAV"):
    """Ten milliseconds of noise as a file's content."""
    out = io.BytesIO()
    soundfile.write(out, noise(0.01, 48_000), 48_000, format=container, subtype="PCM_16")
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def vctk():
    """110 speakers: p225 with its 231 utterances, the others with two; two microphones."""
    speakers = [f"p{number}" for number in range(225, 334)] + ["s5"]
    flac, files = sound("FLAC"), {"speaker-info.txt": b"ID", "txt/p225/p225_001.txt": b"Please"}
    for speaker in speakers:
        for number in range(1, 232 if speaker == "p225" else 3):
            for microphone in ("mic1", "mic2"):
                name = f"{speaker}/{speaker}_{number:03d}_{microphone}.flac"
                files[f"wav48_silence_trimmed/{name}"] = flac
    return zipped(files)


def ljspeech():
    out, wav = io.BytesIO(), sound()
    with tarfile.open(fileobj=out, mode="w:bz2") as archive:
        for number in reversed(range(1, 601)):
            member = tarfile.TarInfo(f"LJSpeech-1.1/wavs/LJ001-{number:04d}.wav")
            member.size = len(wav)
            archive.addfile(member, io.BytesIO(wav))
    return out.getvalue()


def maestro(pieces=100, played=2):
    table = io.StringIO()
    writer = csv.writer(table)
    columns = ["canonical_composer", "canonical_title", "split", "year", "midi_filename"]
    writer.writerow([*columns, "audio_filename", "duration"])
    wav, files = sound(), {"maestro-v3.0.0/LICENSE": b"CC", "maestro-v3.0.0/2004/x.midi": b"MThd"}
    for piece in range(pieces):
        for take in range(played):
            name = f"2004/{piece}-{take}.wav"
            row = ["A, the composer", f"No. {piece}", "train", 2004, "x.midi", name, 100 + piece]
            writer.writerow(row)
            files[f"maestro-v3.0.0/{name}"] = wav
    files["maestro-v3.0.0/maestro-v3.0.0.csv"] = table.getvalue().encode()
    return zipped(files)


@pytest.fixture
def served(monkeypatch):
    """Serve an archive in place of a corpus's own."""
    with serving(b"") as server:

        def serve(name, content):
            server.content = content
            server.asked.clear()
            source = dataclasses.replace(
                CORPORA[name].source,
                url=server.url,
                size_bytes=len(content),
                algorithm="sha256",
                digest=hashlib.sha256(content).hexdigest(),
            )
            monkeypatch.setitem(CORPORA, name, dataclasses.replace(CORPORA[name], source=source))
            return server

        yield serve


def splits_of(folder):
    return {split: list(files) for split, files in read_corpus(folder).files.items()}


def test_vctk_single_is_split_as_in_the_paper(served, tmp_path):
    served("vctk-single", vctk())
    fetched = fetch("vctk-single", tmp_path / "single")
    name = "wav48_silence_trimmed/p225/p225_{:03d}_mic1.flac"
    assert splits_of(tmp_path / "single") == {
        "train": [name.format(number) for number in range(1, 224)],
        "test": [name.format(number) for number in range(224, 232)],
    }
    assert fetched.files == 231
    assert fetched.archive == tmp_path / "VCTK-Corpus-0.92.zip"
    unpacked = {path.name for path in (tmp_path / "single").rglob("*") if path.is_file()}
    assert len(unpacked) == 231 + 2
    assert {"speaker-info.txt", "files.csv"} < unpacked
    assert not any(path.name.endswith(".part") for path in tmp_path.iterdir())
    check_disjoint(tmp_path / "single")


def test_vctk_multi_has_99_speakers_to_train_on(served, tmp_path):
    served("vctk-multi", vctk())
    fetch("vctk-multi", tmp_path / "multi")
    rows = read_rows(tmp_path / "multi")
    speakers = {
        split: sorted({row["speaker"] for row in rows if row["split"] == split})
        for split in ("train", "test")
    }
    assert speakers["train"] == [f"p{number}" for number in range(225, 324)]
    assert speakers["test"] == [*(f"p{number}" for number in range(324, 334)), "s5"]
    assert len(rows) == 231 + 109 * 2
    assert {row["licence"] for row in rows} == {"CC BY 4.0"}
    assert all(row["file"].endswith("_mic1.flac") for row in rows)
    check_disjoint(tmp_path / "multi")


def test_valid_comes_out_of_train_when_asked_for(served, tmp_path):
    served("vctk-multi", vctk())
    fetch("vctk-multi", tmp_path / "plain")
    fetch("vctk-multi", tmp_path / "carved", valid=0.06)
    plain, carved = splits_of(tmp_path / "plain"), splits_of(tmp_path / "carved")
    assert sorted(carved["train"] + carved["valid"]) == plain["train"]
    assert carved["test"] == plain["test"]
    check_disjoint(tmp_path / "carved")


def test_an_archive_is_downloaded_once_for_two_corpora(served, tmp_path):
    archive = vctk()  # once: an archive made two seconds later holds another time
    served("vctk-single", archive)
    server = served("vctk-multi", archive)
    fetch("vctk-single", tmp_path / "single")
    fetch("vctk-multi", tmp_path / "multi")
    assert len(server.asked) == 1


def test_release_080_is_taken_too(tmp_path):
    for speaker in [f"p{number}" for number in range(225, 334)]:
        (tmp_path / "VCTK-Corpus" / "wav48" / speaker).mkdir(parents=True)
        for number in (1, 2):
            path = tmp_path / "VCTK-Corpus" / "wav48" / speaker / f"{speaker}_{number:03d}.wav"
            path.write_bytes(sound())
    rows = find_corpus("vctk-multi").rows(tmp_path)
    assert len({row["speaker"] for row in rows if row["split"] == "train"}) == 99
    assert len({row["speaker"] for row in rows if row["split"] == "test"}) == 10
    assert rows[0]["file"] == "VCTK-Corpus/wav48/p225/p225_001.wav"


def test_ljspeech_ends_with_valid_and_test(served, tmp_path):
    served("ljspeech", ljspeech())
    fetch("ljspeech", tmp_path / "lj")
    splits = splits_of(tmp_path / "lj")
    name = "LJSpeech-1.1/wavs/LJ001-{:04d}.wav"
    assert splits["train"] == [name.format(number) for number in range(1, 101)]
    assert splits["valid"] == [name.format(number) for number in range(101, 351)]
    assert splits["test"] == [name.format(number) for number in range(351, 601)]
    check_disjoint(tmp_path / "lj")  # one speaker, which is no secret


def test_maestro_is_shared_out_by_pieces(served, tmp_path):
    served("maestro", maestro())
    fetch("maestro", tmp_path / "piano")
    rows = read_rows(tmp_path / "piano")
    seconds = {
        split: sum(100 + int(row["piece"].split()[-1]) for row in rows if row["split"] == split)
        for split in ("train", "valid", "test")
    }
    total = sum(seconds.values())
    assert seconds["test"] / total == pytest.approx(0.06, abs=0.01)
    assert seconds["valid"] / total == pytest.approx(0.06, abs=0.01)
    assert len(rows) == 200
    assert {row["licence"] for row in rows} == {"CC BY-NC-SA 4.0"}
    assert not (tmp_path / "piano" / "maestro-v3.0.0" / "2004" / "x.midi").exists()
    check_disjoint(tmp_path / "piano")


def test_a_corpus_that_is_here_is_left_alone(served, tmp_path):
    server = served("vctk-single", vctk())
    fetch("vctk-single", tmp_path / "single")
    before = (tmp_path / "single" / "files.csv").stat().st_mtime_ns
    again = fetch("vctk-single", tmp_path / "single")
    assert again.was_there
    assert again.files == 231
    assert len(server.asked) == 1
    assert (tmp_path / "single" / "files.csv").stat().st_mtime_ns == before


def test_a_folder_with_something_else_is_refused(served, tmp_path):
    server = served("vctk-single", vctk())
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="has something else in it"):
        fetch("vctk-single", tmp_path / "single")
    assert server.asked == []


def test_unpacking_that_was_interrupted_is_done_again(served, tmp_path, monkeypatch):
    server = served("vctk-single", vctk())
    real = module.unpack

    def killed(archive, folder, *arguments, **options):
        (folder / "half.flac").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "unpack", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch("vctk-single", tmp_path / "single")
    assert not (tmp_path / "single").exists()
    (tmp_path / ".single.part").mkdir()  # as after a power cut
    (tmp_path / ".single.part" / "half.flac").write_bytes(b"half")
    monkeypatch.setattr(module, "unpack", real)
    assert fetch("vctk-single", tmp_path / "single").files == 231
    assert not list(tmp_path.rglob("half.flac"))
    assert len(server.asked) == 1


def test_an_archive_of_something_else_leaves_no_folder(served, tmp_path):
    served("vctk-single", zipped({"readme": b"not VCTK"}))
    with pytest.raises(FileNotFoundError, match="is not VCTK"):
        fetch("vctk-single", tmp_path / "single")
    assert not (tmp_path / "single").exists()


def test_a_wrong_checksum_leaves_nothing(served, tmp_path):
    server = served("vctk-single", vctk())
    server.content = server.content[:-1] + b"\xff"
    with pytest.raises(DownloadError, match="its sha256 is"):
        fetch("vctk-single", tmp_path / "single")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_gets_a_suggestion(tmp_path):
    with pytest.raises(SettingsError, match=r"no corpus 'vctk-singel', .*did you mean 'vctk-singl"):
        fetch("vctk-singel", tmp_path / "x")


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_every_corpus_says_what_it_is(corpus):
    assert CORPORA[corpus.name] is corpus
    assert all((corpus.summary, corpus.kind, corpus.licence, corpus.splits))
    assert corpus.source.size_bytes > 1e8
    if isinstance(corpus.source, Archive):
        assert corpus.source.url.startswith("https://")
        assert len(corpus.source.digest) == {"md5": 32, "sha256": 64}[corpus.source.algorithm]
