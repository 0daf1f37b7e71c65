"""What a folder holds: the three shapes of a corpus, and what is refused."""

from __future__ import annotations

import pytest

from fullband.corpora.manifest import Corpus, read_corpus
from fullband.errors import AudioFileError, MissingFileError


def corpus_of(folder, *names):
    """A folder with files of these names; nobody opens them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def with_table(folder, text):
    (folder / "files.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_audio_is_all_test(tmp_path):
    corpus = read_corpus(corpus_of(tmp_path, "b.wav", "a.flac", "sub/deep/c.ogg"))
    assert corpus.files == {"test": ("a.flac", "b.wav", "sub/deep/c.ogg")}
    assert corpus.folder == tmp_path
    assert corpus.name == tmp_path.name


def test_a_folder_per_split(tmp_path):
    folder = corpus_of(
        tmp_path, "train/p2/b.wav", "train/p1/c.wav", "valid/a.wav", "test-real/z.wav", "test/y.wav"
    )
    assert read_corpus(folder).files == {
        "test": ("test/y.wav",),
        "test-real": ("test-real/z.wav",),
        "train": ("train/p1/c.wav", "train/p2/b.wav"),
        "valid": ("valid/a.wav",),
    }


@pytest.mark.parametrize("name", ["train", "valid", "test", "train-clean-100", "test-real"])
def test_one_folder_named_as_a_split_is_enough(tmp_path, name):
    assert list(read_corpus(corpus_of(tmp_path, f"{name}/a.wav")).files) == [name]


def test_only_audio_counts(tmp_path):
    folder = corpus_of(tmp_path, "a.WAV", "b.txt", "c.wav.bak", "d", "e.FlAc", "f.npy")
    (folder / "folder.wav").mkdir()
    assert read_corpus(folder).files == {"test": ("a.WAV", "e.FlAc")}


def test_a_table_says_it_all(tmp_path):
    corpus_of(tmp_path, "train/unlisted.wav", "one.wav")
    with_table(tmp_path, "split,speaker,file\nvalid,p2,x/b.wav\ntrain,p1,c.wav\nvalid,p1,a.wav\n")
    assert read_corpus(tmp_path).files == {"train": ("c.wav",), "valid": ("a.wav", "x/b.wav")}


def test_a_table_may_quote_and_use_any_letters(tmp_path):
    with_table(tmp_path, 'file,split\r\n"a, b.wav",test\r\nä.wav,test\r\n')
    assert read_corpus(tmp_path).split("test") == ("a, b.wav", "ä.wav")


@pytest.mark.parametrize(
    "name", ["/etc/a.wav", "../a.wav", "sub/../../a.wav", "sub/..", "a/../b.wav"]
)
def test_files_outside_the_corpus_are_refused(tmp_path, name):
    with_table(tmp_path, f"file,split\nfine.wav,test\n{name},test\n")
    with pytest.raises(AudioFileError) as caught:
        read_corpus(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'files.csv'}: '{name}' lies outside the corpus"


def test_two_points_in_a_name_lead_nowhere(tmp_path):
    with_table(tmp_path, "file,split\na..b.wav,test\n")
    assert read_corpus(tmp_path).split("test") == ("a..b.wav",)


@pytest.mark.parametrize("heading", ["file,set\n", "name,split\n", "split\n", "a.wav,test\n", ""])
def test_a_table_without_its_columns_is_refused(tmp_path, heading):
    with_table(tmp_path, heading + "a.wav,test\n" * bool(heading))
    with pytest.raises(AudioFileError, match=r"files\.csv: needs the columns 'file' and 'split'$"):
        read_corpus(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"/nowhere: no such folder$"):
        read_corpus(tmp_path / "nowhere")


def test_a_file_is_no_folder(tmp_path):
    with pytest.raises(MissingFileError, match=r"/a\.wav: no such folder$"):
        read_corpus(corpus_of(tmp_path, "a.wav") / "a.wav")


@pytest.mark.parametrize("content", [None, "file,split\n"])
def test_a_corpus_without_audio_is_refused(tmp_path, content):
    corpus_of(tmp_path, "notes.txt")
    if content is not None:
        with_table(tmp_path, content)
    with pytest.raises(MissingFileError) as caught:
        read_corpus(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no audio files in it"


def test_a_split_is_never_made_up(tmp_path):
    corpus = read_corpus(corpus_of(tmp_path, "train/a.wav", "valid/b.wav"))
    assert corpus.split("valid") == ("valid/b.wav",)
    with pytest.raises(MissingFileError) as caught:
        corpus.split("test")
    assert str(caught.value) == f"{tmp_path}: has no split 'test', only train, valid"


def test_the_folder_may_be_given_as_text_and_has_a_name_even_as_a_point(tmp_path, monkeypatch):
    corpus_of(tmp_path, "a.wav")
    assert read_corpus(str(tmp_path)) == Corpus(tmp_path.name, tmp_path, {"test": ("a.wav",)})
    monkeypatch.chdir(tmp_path)
    assert read_corpus(".").name == tmp_path.name


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"file,split\na.wav,test\nb.wav\n", "line 3 lacks its file or its split"),
        (b"split,file\ntest\n", "line 2 lacks its file or its split"),
        (b"file,split\n,test\n", "line 2 lacks its file or its split"),
        (b"file,split\na.wav,test\na.wav,test\n", "'a.wav' stands twice in split 'test'"),
        (b"file,split\n\xff.wav,test\n", "not a text file in UTF-8"),
    ],
)
def test_a_table_with_holes_is_refused(tmp_path, table, message):
    (tmp_path / "files.csv").write_bytes(table)
    with pytest.raises(AudioFileError, match=message):
        read_corpus(tmp_path)


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "files.csv").write_text("file,split\na.wav,test\n", encoding="utf-8-sig")
    assert read_corpus(tmp_path).split("test") == ("a.wav",)


def test_a_file_beside_the_split_folders_is_refused(tmp_path):
    for name in ("train/a.wav", "stray.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(AudioFileError, match=r"stray\.wav: lies beside the split folders"):
        read_corpus(tmp_path)
