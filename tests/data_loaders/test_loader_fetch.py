"""Fetching from a publisher, here a server of this machine: hashes, going on, refusals, nothing half there."""

import gzip
import hashlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from data_loaders import Bidmc, Ludb, Mitdb, Nstdb, Qtdb, _download, _fetch
from data_loaders._base import PhysioNetDataset
from data_loaders._fetch import fetch_database
from mhealth.errors import RecordingFileError, UnwritableOutputError

BIG = bytes(range(256)) * 2000  # eight blocks


class Publisher(ThreadingHTTPServer):
    """Offers files by path; notes what was asked for, and can misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: dict[str, int] = {}  # breaks off after so many bytes, once
        self.refuses: list[int] = []  # HTTP errors to answer with, before anything else
        self.takes_ranges = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def offer(self, files: dict[str, bytes], *, database: str = "toy", version: str = "1.0") -> None:
        """Offer a database with its list of hashes."""
        listed = "".join(f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in files.items())
        for name, content in {**files, "SHA256SUMS.txt": listed.encode()}.items():
            self.files[f"/{database}/{version}/{name}"] = content

    def n_asked(self, name: str) -> int:
        return sum(path.endswith(f"/{name}") for path, _ in self.asked)


class _Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append((self.path, wanted))
        content = self.server.files.get(unquote(self.path))
        if self.server.refuses or content is None:
            self.send_error(self.server.refuses.pop(0) if self.server.refuses else 404)
            return
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.takes_ranges else 0
        if begin and begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin : self.server.cuts.pop(self.path, None)])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher(monkeypatch):
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(_fetch, "PUBLISHER", server.address)
    monkeypatch.setattr(_download, "PAUSES", (0.0, 0.0, 0.0))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(folder, **changes):
    fetch_database(folder, ("*.dat", "sub/*"), **({"database": "toy", "version": "1.0"} | changes))
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_wanted_comes_and_nothing_else(publisher, tmp_path):
    publisher.offer({"a.dat": BIG, "sub/b c.txt": b"b", "other.txt": b"o", "RECORDS": b"a", "LICENSE.txt": b"l"})
    calls = []
    names = fetched(tmp_path / "toy", progress=lambda *call: calls.append(call))
    assert names == {"a.dat", "sub/b c.txt", "RECORDS", "LICENSE.txt", "SHA256SUMS.txt"}
    assert (tmp_path / "toy" / "a.dat").read_bytes() == BIG
    assert calls == [("fetching toy", done, 4) for done in range(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_what_is_there_is_not_asked_for_again(publisher, tmp_path):
    (tmp_path / "toy").mkdir()
    assert fetched(tmp_path / "toy") == set()
    assert publisher.asked == []


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(publisher, tmp_path):
    publisher.offer({"a.dat": BIG})
    publisher.cuts["/toy/1.0/a.dat"] = 300_000
    fetched(tmp_path / "toy")
    assert (tmp_path / "toy" / "a.dat").read_bytes() == BIG
    assert publisher.asked[1:] == [("/toy/1.0/a.dat", None), ("/toy/1.0/a.dat", "bytes=300000-")]


def test_a_server_without_ranges_sends_the_whole_file_again(publisher, tmp_path):
    publisher.offer({"a.dat": BIG})
    publisher.cuts["/toy/1.0/a.dat"] = 300_000
    publisher.takes_ranges = False
    fetched(tmp_path / "toy")
    assert (tmp_path / "toy" / "a.dat").read_bytes() == BIG


def test_an_interrupted_call_is_gone_on_with_by_the_next(publisher, tmp_path):
    publisher.offer({"a.dat": BIG, "b.dat": b"bb", "sub/c.dat": b"ccc"})

    def interrupt(what: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetched(tmp_path / "toy", progress=interrupt)
    assert not (tmp_path / "toy").exists()
    gathered = tmp_path / ".toy-1.0.part"
    shutil.rmtree(gathered)  # which of the files came is left to chance
    (gathered / "sub").mkdir(parents=True)
    (gathered / "a.dat.part").write_bytes(BIG[:200_000])
    (gathered / "b.dat").write_bytes(b"damaged")
    (gathered / "sub" / "c.dat").write_bytes(b"ccc")
    publisher.asked.clear()
    assert fetched(tmp_path / "toy") == {"a.dat", "b.dat", "sub/c.dat", "SHA256SUMS.txt"}
    assert (tmp_path / "toy" / "b.dat").read_bytes() == b"bb"
    assert (tmp_path / "toy" / "a.dat").read_bytes() == BIG
    assert sorted(publisher.asked[1:]) == [("/toy/1.0/a.dat", "bytes=200000-"), ("/toy/1.0/b.dat", None)]
    assert not gathered.exists()


def test_a_damaged_part_is_fetched_anew(publisher, tmp_path):
    publisher.offer({"a.dat": BIG})
    (tmp_path / ".toy-1.0.part").mkdir()
    for damaged in (b"x" * 1000, b"x" * len(BIG)):
        (tmp_path / ".toy-1.0.part" / "a.dat.part").write_bytes(damaged)
        _download.download(
            f"{publisher.address}/toy/1.0/a.dat",
            tmp_path / ".toy-1.0.part" / "a.dat",
            sha256=hashlib.sha256(BIG).hexdigest(),
        )
        assert (tmp_path / ".toy-1.0.part" / "a.dat").read_bytes() == BIG


def test_another_content_than_the_list_says_is_refused(publisher, tmp_path):
    publisher.offer({"a.dat": BIG, "b.dat": b"b"})
    publisher.files["/toy/1.0/a.dat"] = BIG[:-1] + b"!"
    with pytest.raises(RecordingFileError, match=r"a\.dat came twice with the SHA-256 \w+, but .* by hand: put the"):
        fetched(tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    assert not list(tmp_path.rglob("a.dat*"))
    assert publisher.n_asked("a.dat") == 2


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(publisher, tmp_path):
    publisher.offer({"a.dat": BIG})
    publisher.refuses = [503, 429]
    fetched(tmp_path / "toy")
    publisher.asked.clear()
    del publisher.files["/toy/1.0/a.dat"]
    with pytest.raises(RecordingFileError, match=r"a\.dat cannot be fetched: Not Found"):
        fetched(tmp_path / "again")
    assert publisher.n_asked("a.dat") == 1


def test_a_server_that_always_breaks_off_is_given_up(publisher, tmp_path, monkeypatch):
    publisher.offer({"a.dat": BIG})
    publisher.refuses = [503] * 9
    with pytest.raises(RecordingFileError, match=r"SHA256SUMS\.txt cannot be fetched: Service Unavailable"):
        fetched(tmp_path / "toy")
    assert len(publisher.asked) == 4


def test_without_a_network_the_message_says_what_to_put_where(publisher, tmp_path, monkeypatch):
    monkeypatch.setattr(_fetch, "PUBLISHER", "http://127.0.0.1:9")  # nothing listens there
    remedy = rf"put the files of https://physionet\.org/content/toy/1\.0/ into {tmp_path}/toy, as they are"
    with pytest.raises(RecordingFileError, match=rf"cannot be fetched: .*refused.*{remedy}"):
        fetched(tmp_path / "toy")


@pytest.mark.parametrize(
    "line", ["no hash.dat", f"{'0' * 64} ../up.dat", f"{'0' * 64} /etc/a.dat", f"{'0' * 64} c:a.dat", "<html>"]
)
def test_a_list_that_is_none_or_leads_elsewhere_is_refused(publisher, tmp_path, line):
    publisher.offer({"a.dat": b"a"})
    publisher.files["/toy/1.0/SHA256SUMS.txt"] += f"\n{line}\n".encode()
    with pytest.raises(RecordingFileError, match="expected a SHA-256 and a path"):
        fetched(tmp_path / "toy")
    assert publisher.n_asked("a.dat") == 0


def test_a_list_without_anything_wanted_is_refused(publisher, tmp_path):
    publisher.offer({"a.txt": b"a"})
    with pytest.raises(RecordingFileError, match=r"names none of .*\*\.dat"):
        fetched(tmp_path / "toy")


def test_a_folder_that_cannot_be_made_is_told(publisher, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutputError):
        fetched(tmp_path / "file" / "toy")


@pytest.mark.realdata
@pytest.mark.parametrize("dataset", [Ludb, Qtdb, Mitdb, Nstdb, Bidmc])
def test_all_that_a_loader_reads_is_fetched(publisher, tmp_path, data_dir, dataset: type[PhysioNetDataset]):
    """The first record of what is here, offered as the publisher does; BIDMC's tables are gzipped here only."""
    here = dataset(data_dir / dataset.database)
    name = here.records[0]
    below = here.folder.relative_to(data_dir / dataset.database)
    files = {(below / file).as_posix(): (here.folder / file).read_bytes() for file in here.files(name)}
    files |= {"RECORDS": here._paths[name].encode(), "html/index.shtml": b"not wanted"}
    if dataset is Ludb:
        files["ludb.csv"] = (data_dir / "ludb" / "ludb.csv").read_bytes()
    if dataset is Nstdb:
        files |= {f"em.{suffix}": (here.folder / f"em.{suffix}").read_bytes() for suffix in ("hea", "dat")}
    if dataset is Bidmc:
        signals = next(file for file in files if file.endswith(".gz"))
        files[signals.removesuffix(".gz")] = gzip.decompress(files.pop(signals))
    publisher.offer(files, database=dataset.database, version=dataset.version)
    there = dataset.fetch(tmp_path / "data" / dataset.database)
    assert name in there.records
    found, annotation, subject = there.load(name)
    recording, expected, who = here.load(name)
    assert (found.signals == recording.signals).all() or dataset is Bidmc
    assert (annotation.spans.to_frame().equals(expected.spans.to_frame()), subject) == (True, who)
    assert there.stratum(name) == here.stratum(name)
    assert not (tmp_path / "data" / dataset.database / "html").exists()
