"""Open a source of data, unpacked first if it is an archive; what was unpacked is known by the archive's content."""

import contextlib
import filecmp
import glob
import hashlib
import json
import os
import shutil
from pathlib import Path

from data_prep import acdc, atlas, brats, decathlon, nnunet, pancreas_ct, pictures, prostate
from data_prep.archive import Archive, BadDataset
from data_prep.extract import extract
from keras_uq.files import BadFile, read, stamp, stamps, sweep, write_text

# A test that recognises the layout of an archive, and the function that opens it. A description that lists cases says
# more than the names of files. If none matches, the pictures and then the Decathlon are tried.
LAYOUTS = (
    (decathlon.is_task, decathlon.open_archive),
    (nnunet.is_nnunet, nnunet.open_archive),
    (atlas.is_atlas, atlas.open_archive),
    (acdc.is_acdc, acdc.open_archive),
    (brats.is_brats, brats.open_archive),
    (pancreas_ct.is_pancreas_ct, pancreas_ct.open_archive),
    (prostate.is_promise12, prostate.open_promise12),
    (prostate.is_prostatex, prostate.open_prostatex),
)
# Characters of a sha256 in the name of a folder.
DIGITS = 12


def open_source(source: str | os.PathLike, unpacked: str | os.PathLike) -> Archive:
    """Open an archive of any known layout.

    Args:
        source: A folder, a `.tar` or `.zip` file of it, or a folder that contains only such files, which are unpacked
            into one folder.
        unpacked: Folder for unpacked archives, each in `<name>-<start of its sha256>/<name>`. An archive with the
            same content is not unpacked again. What cannot be opened is deleted.

    Returns:
        `Archive`.

    Raises:
        BadDataset: If the layout is unknown.
        HostileArchive: If a file is unsafe to unpack (see `extract`).
    """
    source, archives = Path(source), archives_of(source)
    if not archives:
        return _open(source)
    unpacked = Path(unpacked)
    content = Content(source, unpacked)
    home = unpacked / f"{source.stem}-{content.digest[:DIGITS]}"
    folder = home / source.stem
    if folder.is_dir():
        with contextlib.suppress(ValueError, OSError):
            return _open(folder)
    for left in (home, *unpacked.glob(f"{glob.escape(source.stem)}-*/*.partial")):
        shutil.rmtree(left, ignore_errors=True)
    try:
        _unpack(archives, folder)
        if content.changed():
            raise BadDataset(f"{source} was replaced while it was unpacked. Run the command again.")
        archive = _open(folder)
    except BadDataset as error:
        shutil.rmtree(home, ignore_errors=True)
        raise BadDataset(str(error).replace(str(folder), source.name)) from error
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    content.note()
    return archive


def archives_of(source: str | os.PathLike) -> list[Path]:
    """Return the archive files of a source: the file itself, or the files of a folder with only archives in it."""
    source = Path(source)
    if source.is_file():
        return [source]
    paths = [path for path in sorted(source.glob("*")) if not path.name.startswith(".")]
    return paths if all(path.suffix in (".zip", ".tar") and path.is_file() for path in paths) else []


class Content:
    """What a source holds, by the sha256 of its archives or of all files of its folder.

    Args:
        source: As in `open_source`.
        notes: Folder where `note` keeps the sha256 of each file, so that only files that may have changed are read
            again.

    Attributes:
        digest: sha256 of the archive; of a folder, sha256 over the names and sha256 of its files.

    Raises:
        OSError: If a file cannot be read.
    """

    def __init__(self, source: str | os.PathLike, notes: str | os.PathLike) -> None:
        self._source = Path(source)
        place = hashlib.sha256(os.fsencode(self._source.absolute())).hexdigest()[:DIGITS]
        self._path = Path(notes) / f"{self._source.name[:100]}-{place}.json"
        try:
            self._noted = read(self._path)
        except (BadFile, OSError):
            self._noted = None
        self._stamps = self._taken(self._noted)
        self.digest = self._digest(self._stamps)

    def changed(self) -> bool:
        """Whether the source holds something else now."""
        return self._digest(self._taken(self._stamps)) != self.digest

    def replaced(self) -> bool:
        """Whether another content has been noted."""
        try:
            return self._digest(self._noted) != self.digest
        except (AttributeError, KeyError, TypeError):  # There is no note.
            return False

    def note(self) -> None:
        """Keep the sha256 of each file for the next time. Nothing is kept in a folder that cannot be written."""
        if self._stamps != self._noted:
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                sweep(self._path.parent)
                write_text(self._path, json.dumps(self._stamps))

    def _taken(self, noted):
        if self._source.is_dir():
            return stamps(self._source, noted)
        earlier = noted.get(self._source.name) if isinstance(noted, dict) else None
        return {self._source.name: stamp(self._source, earlier)}

    def _digest(self, taken):
        if self._source.is_dir():
            names = json.dumps({name: file["sha256"] for name, file in taken.items()})
            return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
        return taken[self._source.name]["sha256"]


def _open(folder):
    for matches, open_archive in LAYOUTS:
        if matches(folder):
            return open_archive(folder)
    return pictures.open_archive(folder) or decathlon.open_archive(folder)


def _unpack(archives, folder):
    """Unpack archives into one folder, which appears only when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if len(archives) == 1:
        extract(archives[0], folder)
        return
    parts = folder.with_name(folder.name + ".partial")
    whole = parts / "whole"
    whole.mkdir(parents=True)
    for number, archive in enumerate(archives):
        extract(archive, parts / str(number))
        for path in sorted((parts / str(number)).iterdir()):
            target = whole / path.name
            if not target.exists():
                os.replace(path, target)
            elif not (path.is_file() and target.is_file() and filecmp.cmp(path, target, shallow=False)):
                raise BadDataset(
                    f"{archive} and another archive of its folder both hold {path.name!r}, with other content. Unpack "
                    "them yourself, and give the folder."
                )
    os.replace(whole, folder)
    shutil.rmtree(parts)
