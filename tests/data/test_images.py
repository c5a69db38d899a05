"""Images out of files: every kind that Pillow reads shows its colours, and what is broken is named in one line."""

import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saccade.data.images import MOST_PIXELS, fitted, fitted_size, read_image
from saccade.data.listed import ListFile
from saccade.errors import DataError

BLOCKS = np.kron(np.random.default_rng(3).integers(0, 256, (3, 5, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
TURNED = {
    1: BLOCKS,
    2: BLOCKS[:, ::-1],
    3: BLOCKS[::-1, ::-1],
    4: BLOCKS[::-1],
    5: BLOCKS.transpose(1, 0, 2),
    6: np.rot90(BLOCKS, -1),
    7: BLOCKS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(BLOCKS),
}


def saved(tmp_path, picture: Image.Image, name: str = "a.png", **options):
    picture.save(tmp_path / name, **options)
    return read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.ppm", "a.webp", "without"])
def test_files_that_lose_nothing(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {"format": "PNG"} if name == "without" else {}
    found = saved(tmp_path, Image.fromarray(BLOCKS), name, **options)
    assert found.dtype == np.uint8
    assert found.flags.writeable
    np.testing.assert_array_equal(found, BLOCKS)


@pytest.mark.parametrize("turn", TURNED)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_exif_turns_the_image_up(tmp_path, name, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    found = saved(tmp_path, Image.fromarray(BLOCKS), name, exif=exif, **options)
    assert found.shape == TURNED[turn].shape
    assert np.abs(found.astype(int) - TURNED[turn]).max() <= (4 if name == "a.jpg" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02x\0\0\0"])
def test_broken_exif_turns_nothing(tmp_path, exif):
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(BLOCKS), exif=exif), BLOCKS)


def test_grey_and_one_bit(tmp_path):
    grey = Image.fromarray(BLOCKS[..., 0])
    np.testing.assert_array_equal(saved(tmp_path, grey), BLOCKS[..., :1].repeat(3, 2))
    bits = np.where(BLOCKS[..., :1] > 127, 255, 0).repeat(3, 2)
    for name in ("a.png", "a.tif", "a.bmp", "a.pbm"):
        np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(bits[..., 0] > 0), name), bits)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, name):
    values = np.linspace(0, 65535, 60 * 70).reshape(60, 70).astype(np.uint16)
    found = saved(tmp_path, Image.fromarray(values), name)
    np.testing.assert_array_equal(found, np.round(values / 257)[..., None].repeat(3, 2))


def test_transparency_lies_over_white(tmp_path):
    alpha = np.array([[[255, 0, 0, 255], [255, 0, 0, 128], [0, 0, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(alpha)), [[RED, (255, 127, 127), WHITE]])
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(alpha).convert("LA"))[0, 2], WHITE)
    flat = Image.fromarray(np.array([[RED, BLACK, (0, 0, 1)]], np.uint8))
    np.testing.assert_array_equal(saved(tmp_path, flat, transparency=BLACK), [[RED, WHITE, (0, 0, 1)]])
    grey = Image.fromarray(np.array([[0, 7, 9]], np.uint8))
    np.testing.assert_array_equal(saved(tmp_path, grey, transparency=7)[0, :, 0], [0, 255, 9])
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode="L").convert("P")
    palette.putpalette([*RED, *BLACK, 0, 255, 0])
    np.testing.assert_array_equal(saved(tmp_path, palette), [[RED, BLACK, (0, 255, 0)]])
    for transparency in (1, b"\xff\x00\xff"):
        with warnings.catch_warnings(action="error"):
            found = saved(tmp_path, palette, transparency=transparency)
        np.testing.assert_array_equal(found, [[RED, WHITE, (0, 255, 0)]])


def test_cmyk(tmp_path):
    for name in ("a.tif", "a.jpg"):
        found = saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), name)
        assert np.abs(found.astype(int) - RED).max() <= 2


def test_one_pixel(tmp_path):
    found = saved(tmp_path, Image.new("RGB", (1, 1), RED))
    assert found.tolist() == [[list(RED)]]
    assert fitted(found, height=16, width=9, grey=False).tolist() == [[list(RED)] * 9] * 9


def test_the_first_frame_of_a_moving_image(tmp_path):
    frames = [Image.new("RGB", (5, 3), colour) for colour in (RED, WHITE, BLACK)]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        found = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(found, np.broadcast_to(RED, (3, 5, 3)))


def claiming(width: int, height: int) -> bytes:
    """A PNG that says that it is so large, and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_images_larger_than_memory_are_not_unpacked(tmp_path):
    path, most = tmp_path / "a.png", f"expected an image of at most {MOST_PIXELS // 10**6} million pixels; got"
    for width, got in ((10_001, "10001 x 10000"), (50_000, "more")):
        path.write_bytes(claiming(width, 10_000))
        with pytest.raises(DataError) as caught:
            read_image(path)
        assert str(caught.value) == f"{path}: {most} {got}"
    path.write_bytes(claiming(9_999, 10_000))
    with (
        warnings.catch_warnings(record=True, action="always") as seen,
        pytest.raises(DataError, match="expected a whole image"),
    ):
        read_image(path)
    assert not seen


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif", "a.jp2"])
def test_truncated_files(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 60, 3), np.uint8)).save(path)
    data = path.read_bytes()
    for size in (0, 1, 9, 40, len(data) // 3, len(data) // 2, len(data) - 200):
        path.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"^[^\n]*: expected (an|a whole) image; got [^\n]*$") as caught:
            read_image(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_what_is_no_image(tmp_path):
    path = tmp_path / "a.png"
    for data in (b"", b"a dog runs\n", b"\x00" * 999):
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_image(path)
        assert str(caught.value) == f"{path}: expected an image; got another kind of file"
    with pytest.raises(
        DataError, match=r"a\.tif: expected an image of 8 or 16 bits; got one of floating point numbers"
    ):
        saved(tmp_path, Image.new("F", (3, 2), 0.5), "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: expected an image of 8 or 16 bits; got one of 32"):
        saved(tmp_path, Image.fromarray(np.full((3, 2), 70_000, np.int32)), "a.tif")
    with pytest.raises(DataError, match=r"gone\.png: expected a readable file; got No such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="expected a readable file; got Is a directory"):
        read_image(tmp_path)


def said_of(path) -> int:
    """How many lines are said of a file, or 1 for an image."""
    try:
        return read_image(path).ndim - 2
    except DataError as error:
        return len(str(error).splitlines())


def test_broken_bytes_anywhere_are_an_image_or_one_line(tmp_path):
    path, random = tmp_path / "a", np.random.default_rng(7)
    for form in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"):
        Image.fromarray(BLOCKS).save(path, form)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(50):
            broken = data.copy()
            broken[random.integers(0, min(len(data), 200), 4)] = random.integers(0, 256, 4)
            path.write_bytes(broken.tobytes())
            assert said_of(path) == 1


SIZES = st.integers(1, 3000)


@given(SIZES, SIZES, st.integers(1, 700), st.integers(0, 700))
def test_images_fit_and_keep_their_aspect(h, w, height, width):
    new_h, new_w = fitted_size((h, w), height=height, width=width)
    assert new_h >= 1
    assert new_w >= 1
    if width:
        assert new_h <= height
        assert new_w <= width
        assert new_h == height or new_w == width
    else:
        assert new_h == height
    scale = max(new_h / h, new_w / w) if min(new_h, new_w) == 1 else new_h / h
    if min(new_h, new_w) > 1:
        assert abs(new_w / w - scale) <= 0.5 / h + 0.5 / w + 1e-9


@pytest.mark.parametrize("grey", [False, True])
def test_scaled_images(grey):
    for size, height, width, expected in (
        ((24, 40), 12, 99, (12, 20)),
        ((24, 40), 99, 10, (6, 10)),
        ((24, 40), 48, 0, (48, 80)),
        ((24, 40), 24, 40, (24, 40)),
        ((1, 2000), 64, 64, (1, 64)),
        ((2000, 1), 32, 0, (32, 1)),
    ):
        image = np.random.default_rng(5).integers(0, 256, (*size, 3), np.uint8)
        found = fitted(image, height=height, width=width, grey=grey)
        assert found.shape == (*expected, 1 if grey else 3)
        assert found.dtype == np.uint8
        assert found.flags.writeable
    same = fitted(BLOCKS, height=24, width=40, grey=grey)
    brightness = np.round(BLOCKS @ [0.299, 0.587, 0.114])[..., None] if grey else BLOCKS
    assert np.abs(same - brightness.astype(int)).max() <= (1 if grey else 0)


def test_smaller_images_are_means_not_samples():
    lines = np.zeros((128, 128, 3), np.uint8)
    lines[::2] = 200
    found = fitted(lines, height=16, width=16, grey=False)
    assert np.abs(found.astype(int) - 100).max() <= 6


def test_emoji(shared_data, tmp_path):
    folder = shared_data / "emoji_noto"
    with zipfile.ZipFile(folder / "png72.zip") as archive:
        archive.extractall(tmp_path)
    file = ListFile((folder / "captions.tsv",), ("file", "name"), tmp_path)
    found = {one.texts[0]: read_image(one.path) for one, _ in zip(file, range(300), strict=False)}
    assert len(found) == 300
    assert {image.shape for image in found.values()} == {(72, 72, 3)}
    assert all((image[0, 0] == 255).all() for name, image in found.items() if "heart" in name)
