"""The downloader against a server on this machine that does what servers do."""

import hashlib
import http.server
import threading
import zipfile
from typing import ClassVar

import pytest

from data_prep import download, transfer
from data_prep.extract import HostileArchive, extract
from data_prep.transfer import DownloadError, fetch

CONTENT = bytes(range(256)) * 2000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `/good`, `/cut` (ends early), `/norange` (ignores Range) and other ill manners; anything else is 404."""

    asked: ClassVar[list] = []
    content: ClassVar[dict] = dict.fromkeys(("/good", "/cut", "/norange", "/otherrange", "/endless", "/large"), CONTENT)

    def do_GET(self):
        wanted = self.headers.get("Range")
        Handler.asked.append((self.path, wanted))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        if self.path not in self.content:
            self.send_error(404)
            return
        content, start = self.content[self.path], 0
        if wanted and self.path != "/norange":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if self.path == "/otherrange" and wanted:
            self.send_header("Content-Range", f"bytes {start + 1}-{len(content)}/{len(content)}")
        if self.path != "/endless":
            self.send_header("Content-Length", str(10**15 if self.path == "/large" else len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_good(server, tmp_path):
    path = fetch(f"{server}/good", MD5, tmp_path, progress=False)
    assert path == tmp_path / "good"
    assert path.read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["good"]
    fetch(f"{server}/good", MD5, tmp_path, progress=False)
    assert len(Handler.asked) == 1  # It was there already.


def test_wrong_checksum_is_deleted(server, tmp_path):
    with pytest.raises(DownloadError, match="does not have the checksum"):
        fetch(f"{server}/good", "md5:" + "0" * 32, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_truncated_is_kept_and_taken_up(server, tmp_path):
    with pytest.raises(DownloadError, match="broke off.*go on where it stopped"):
        fetch(f"{server}/cut", MD5, tmp_path, name="file", progress=False)
    have = (tmp_path / "file.part").stat().st_size
    assert len(CONTENT) // 2 - transfer.CHUNK < have <= len(CONTENT) // 2
    assert not (tmp_path / "file").exists()
    assert fetch(f"{server}/good", MD5, tmp_path, name="file", progress=False).read_bytes() == CONTENT
    assert Handler.asked[-1] == ("/good", f"bytes={have}-")


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert fetch(f"{server}/norange", MD5, tmp_path, name="file", progress=False).read_bytes() == CONTENT


def test_nothing_left_to_send(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(f"{server}/good", MD5, tmp_path, name="file", progress=False).read_bytes() == CONTENT


def test_missing_and_unreachable(server, tmp_path):
    with pytest.raises(DownloadError, match="answered 404"):
        fetch(f"{server}/nothing", MD5, tmp_path, progress=False)
    with pytest.raises(DownloadError, match="broke off"):
        fetch("http://127.0.0.1:9/file", MD5, tmp_path, progress=False)


def test_a_hostile_archive_with_the_right_checksum_is_not_unpacked(server, tmp_path, make_tar):
    archive = make_tar([("../evil", b"x")], name="hostile.tar").read_bytes()
    Handler.content["/hostile.tar"] = archive
    checksum = "sha256:" + hashlib.sha256(archive).hexdigest()
    path = fetch(f"{server}/hostile.tar", checksum, tmp_path / "down", progress=False)
    with pytest.raises(HostileArchive):
        extract(path, tmp_path / "out")


def test_the_command_knows_the_tasks(server, tmp_path, monkeypatch, capsys):
    from data_prep.decathlon import TASKS

    assert set(TASKS) == {"Task03_Liver", "Task04_Hippocampus", "Task07_Pancreas", "Task09_Spleen"}
    assert TASKS["Task07_Pancreas"].md5 == "4f7080cfca169fa8066d17ce6eb061e4"
    monkeypatch.setattr("data_prep.decathlon.URL", server + "/{task}.tar")
    Handler.content["/Task09_Spleen.tar"] = b"not the archive"
    assert download.main(["Task09_Spleen", "--to", str(tmp_path)]) == 2
    assert "does not have the checksum md5:410d4a30" in capsys.readouterr().err


def test_files_whose_address_has_no_name_get_one(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "archives", lambda: {"acdc": [(f"{server}/good", None)]})
    monkeypatch.setattr(download, "NAMES", {f"{server}/good": "ACDC.zip"})
    assert download.main(["acdc", "--to", str(tmp_path / "acdc")]) == 0
    assert (tmp_path / "acdc" / "ACDC.zip").read_bytes() == CONTENT
    assert "no checksum is published" in capsys.readouterr().out


def test_addresses_of_mri_archives_have_names_and_checksums_where_there_are_any():
    from data_prep import acdc, prostate

    found = download.archives()
    assert found["promise12"] == [(prostate.PROMISE12_URL, f"sha256:{prostate.PROMISE12_SHA256}")]
    assert found["acdc"] == [(acdc.URL, None)]
    assert {download.NAMES[url] for url in (acdc.URL, prostate.PROMISE12_URL)} == {"ACDC.zip", "training_data.zip"}


@pytest.mark.parametrize("address", ["..", "", "a\\b", ".hidden", "file?a=b/c:d", "x%00/"])
def test_the_end_of_an_address_may_be_no_file_name(address, tmp_path):
    with pytest.raises(ValueError, match="does not end in a file name"):
        fetch(f"http://127.0.0.1:9/{address}", None, tmp_path / "down", progress=False)
    assert not (tmp_path / "down").exists()


def test_a_redirection_to_a_file_of_this_machine(server, tmp_path):
    with pytest.raises(DownloadError, match="not http or https"):
        fetch(f"{server}/elsewhere", None, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_another_range_than_the_one_asked_for_is_not_appended(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match="broke off"):
        fetch(f"{server}/otherrange", MD5, tmp_path, name="file", progress=False)
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:1000]


def test_what_the_disk_has_no_room_for_is_not_begun(server, tmp_path):
    with pytest.raises(DownloadError, match=r"cannot be written.*No space left.*GiB are free there"):
        fetch(f"{server}/large", None, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_file_without_a_declared_end_is_limited(server, tmp_path, monkeypatch):
    assert fetch(f"{server}/endless", MD5, tmp_path / "whole", progress=False).read_bytes() == CONTENT
    monkeypatch.setattr(transfer, "MAX_TOTAL", len(CONTENT) - 1)
    with pytest.raises(DownloadError, match="sends more than"):
        fetch(f"{server}/endless", None, tmp_path, progress=False)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(f"{server}/good", None, tmp_path / "file" / "folder", progress=False)


def test_zip_files_beside_a_collection_are_unpacked_by_content(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fetch_collection", lambda *arguments: [])

    def unpack(content):
        with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
            archive.writestr("mask", content)
        download._fetch_collection("prostatex", tmp_path)
        return (tmp_path / "masks" / "mask").read_text()

    assert unpack("first") == "first"
    (tmp_path / "masks" / "mask").write_text("changed by hand")
    assert unpack("first") == "changed by hand"  # The archive is the same, its times are not.
    assert unpack("other") == "other"
