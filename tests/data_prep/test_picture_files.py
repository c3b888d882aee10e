"""Picture files: the colours that were stored, and no guess about what a file may mean."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from data_prep import picture_files
from data_prep.picture_files import read_mask, read_picture
from keras_uq.preprocessing import BadScan

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 8, 3)).astype("uint8")
DISC = np.zeros((6, 8), bool)
DISC[2:4, 3:6] = True


def write(tmp_path, picture, form="PNG", name="picture.png", **how):
    buffer = io.BytesIO()
    picture.save(buffer, form, **how)
    (tmp_path / name).write_bytes(buffer.getvalue())
    return tmp_path / name


def tiff(order, channels=3, meaning=1, pixels=PIXELS):
    """A TIFF file of 8 bits a channel; a `meaning` of 1 says black is zero, one of 2 says RGB."""
    start = 8 + pixels.nbytes + 2 * channels
    mark = b"II" if order == "<" else b"MM"
    entries = [(256, 3, 1, 8), (257, 3, 1, 6), (258, 3, channels, 8 + pixels.nbytes), (259, 3, 1, 1)]
    entries += [(262, 3, 1, meaning), (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, 6), (279, 4, 1, pixels.nbytes)]
    content = struct.pack(f"{order}2sHI", mark, 42, start) + pixels.tobytes()
    content += struct.pack(f"{order}{channels}H", *[8] * channels) + struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        content += struct.pack(f"{order}HHI", tag, kind, count)
        content += struct.pack(f"{order}HH", value, 0) if (kind, count) == (3, 1) else struct.pack(f"{order}I", value)
    return content + bytes(4)


def code_of(read, path):
    with pytest.raises(BadScan) as caught:
        read(path)
    assert path.name in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("order", ["<", ">"])
def test_three_channels_that_are_called_grey_are_colours(order, tmp_path):
    """All 612 pictures of the official CVC-ClinicDB are written like this."""
    for meaning in (1, 2):
        (tmp_path / "1.tif").write_bytes(tiff(order, meaning=meaning))
        voxels = read_picture(tmp_path / "1.tif").voxels
        np.testing.assert_array_equal(voxels[:, :, 0].transpose(1, 0, 2), PIXELS)
    copy = write(tmp_path, Image.fromarray(PIXELS))
    np.testing.assert_array_equal(read_picture(copy).voxels, voxels)


def test_one_channel_that_is_called_grey_is_grey(tmp_path):
    grey = PIXELS[..., 0] | 128
    path = write(tmp_path, Image.fromarray(grey), "TIFF", "mask.tif")
    np.testing.assert_array_equal(read_picture(path).voxels[:, :, 0, 1].T, grey)
    assert read_mask(path).voxels.all()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("length", [0, 3, 8, 150, 160, 200])
def test_a_tiff_file_that_ends_early(length, tmp_path):
    (tmp_path / "cut.tif").write_bytes(tiff("<")[:length])
    assert code_of(read_picture, tmp_path / "cut.tif") in ("unreadable", "truncated", "picture_kind")


SIXTEEN = {
    "grey": (Image.fromarray(PIXELS[..., 0].astype("uint16") * 256), "PNG"),
    "grey TIFF": (Image.fromarray(PIXELS[..., 0].astype("uint16") * 256), "TIFF"),
    "integers": (Image.fromarray(PIXELS[..., 0].astype("int32")), "TIFF"),
    "floats": (Image.fromarray(PIXELS[..., 0] / np.float32(255)), "TIFF"),
    "ink": (Image.fromarray(PIXELS).convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("picture", SIXTEEN.values(), ids=SIXTEEN)
def test_pixels_that_would_be_clipped_are_refused(picture, tmp_path):
    path = write(tmp_path, *picture)
    assert code_of(read_picture, path) == code_of(read_mask, path) == "picture_kind"


def test_16_bits_in_colour_are_refused(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "deep.png"), PIXELS.astype("uint16") * 7)  # Their upper bytes are nearly all zero.
    assert code_of(read_picture, tmp_path / "deep.png") == "picture_kind"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_a_picture_that_has_to_be_turned_is_refused(form, tmp_path):
    exif = Image.Exif()
    for orientation in (1, 3, 6):
        exif[0x0112] = orientation
        path = write(tmp_path, Image.fromarray(PIXELS), form, exif=exif)
        if orientation == 1:
            assert read_picture(path).voxels.shape == (8, 6, 1, 3)
        else:
            assert code_of(read_picture, path) == code_of(read_mask, path) == "picture_kind"


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG"])
def test_several_pictures_in_a_file_are_refused(form, tmp_path):
    first = Image.fromarray(PIXELS).convert("P")
    path = write(tmp_path, first, form, save_all=True, append_images=[first.rotate(180)])
    assert code_of(read_picture, path) == "picture_kind"


def test_only_the_formats_of_the_datasets_are_decoded(tmp_path):
    for form in ("WEBP", "BMP", "PPM", "EPS"):
        assert code_of(read_picture, write(tmp_path, Image.fromarray(PIXELS), form)) == "picture_kind"
    (tmp_path / "empty.png").write_bytes(b"")
    assert code_of(read_picture, tmp_path / "empty.png") == "unreadable"


def test_the_number_of_pixels_is_limited_before_they_are_decoded(tmp_path, monkeypatch):
    path = write(tmp_path, Image.fromarray(PIXELS))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("It was decoded."))
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 6 * 8 - 1)
    assert code_of(read_picture, path) == "too_large"


def test_more_pixels_than_pillow_warns_of(tmp_path, monkeypatch):
    path = write(tmp_path, Image.fromarray(PIXELS))
    for most in (6 * 8 - 1, 6 * 4 - 1):  # The first is a warning of Pillow, the second an error.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        assert code_of(read_picture, path) == "too_large"


def mask(values, **how):
    return Image.fromarray(np.where(DISC, *values).astype("uint8"), **how)


def palette(colours):
    picture = Image.fromarray(DISC.astype("uint8")).convert("P")
    picture.putpalette([value for colour in colours for value in colour])
    return picture


MASKS = {
    "0 and 255": mask((255, 0)),
    "0 and 1": mask((1, 0)),
    "from a conversion": mask((240, 20)),
    "one bit": Image.fromarray(DISC),
    "grey in colour": Image.merge("RGB", [mask((255, 0))] * 3),
    "almost grey": Image.merge("RGB", [mask((250, 4)), mask((255, 0)), mask((245, 10))]),
    "opaque": Image.merge("RGBA", [mask((255, 0))] * 3 + [mask((255, 255))]),
    "black and white palette": palette([[0, 0, 0], [255, 255, 255]]),
    "palette of 0 and 1": palette([[0, 0, 0], [1, 1, 1]]),
}


@pytest.mark.parametrize("picture", MASKS.values(), ids=MASKS)
def test_masks_of_two_values(picture, tmp_path):
    np.testing.assert_array_equal(read_mask(write(tmp_path, picture)).voxels[:, :, 0].T, DISC)


UNCLEAR = {
    "dark": mask((100, 0)),
    "classes": mask((2, 0)),
    "red": Image.merge("RGB", [mask((255, 0)), mask((0, 0)), mask((0, 0))]),
    "dark red palette": palette([[0, 0, 0], [128, 0, 0]]),
    "in the transparency": Image.merge("RGBA", [mask((255, 255))] * 3 + [mask((255, 0))]),
}


@pytest.mark.parametrize("picture", UNCLEAR.values(), ids=UNCLEAR)
def test_masks_that_would_be_empty_without_a_word_are_refused(picture, tmp_path):
    assert code_of(read_mask, write(tmp_path, picture)) == "mask_values"


def test_an_empty_mask_is_empty(tmp_path):
    assert not read_mask(write(tmp_path, mask((0, 0)))).voxels.any()
