"""The two CSV files of builds: what is read, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import InputError
from dse.fpga.builds import read_builds
from tests.fpga.cnv import GOLDEN

LAYERS = GOLDEN / "bnn_pynq_layers.csv"
REPORTS = GOLDEN / "bnn_pynq_reports.csv"
HEAD = "net,layer,kind,kernel,in_ch,in_dim,out_ch,weight_bits,act_in_bits,act_out_bits,PE,SIMD"


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "layers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_three_networks_are_read() -> None:
    builds = read_builds(LAYERS, REPORTS)
    assert [build.net for build in builds] == ["cnvW1A1", "cnvW2A2", "lfcW1A1"]
    assert [len(build.layers) for build in builds] == [9, 9, 4]
    # 76 blocks of 36 Kb and 96 of 18 Kb
    assert builds[0].reported["bram18"] == 2 * 76 + 96
    assert builds[0].part == "xc7z020"
    assert builds[1].layers[-1].output_bits == 0


def test_memory_depths_follow_from_the_other_columns() -> None:
    lines = [line for line in LAYERS.read_text().splitlines() if not line.startswith("#")]
    depths = [int(line.split(",")[13]) for line in lines[1:]]
    builds = read_builds(LAYERS)
    assert [layer.words for build in builds for layer in build.layers] == depths


def test_order_case_and_optional_columns_are_free(tmp_path: Path) -> None:
    shuffled = _file(
        tmp_path,
        "\ufeffSIMD,pe,net, in_ch ,out_ch,kind,layer,weight_bits,act_in_bits",
        "# a comment",
        "64,32,x,832,1024,fc,0,1,1",
        "32,64,x,1024,1024,fc,1,1,2",
        "",
    )
    (build,) = read_builds(shuffled)
    assert [layer.simd for layer in build.layers] == [64, 32]
    # without act_out_bits it is what the next layer reads, and nothing behind the last
    assert [layer.output_bits for layer in build.layers] == [2, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x,0,pool,3,3,32,64,1,8,1,16,3", "line 2: kind must be conv or fc, but is 'pool'"),
        ("x,0,conv,3,3,32,64,1,8,1,0,3", r"line 2: pe must be a whole number in 1\.\."),
        ("x,0,conv,3,3,32,64,1,17,1,16,3", r"act_in_bits must be .* in 1\.\.16, but is '17'"),
        ("x,0,conv,3,3,32,64,1.5,8,1,16,3", "weight_bits must be a whole number .* '1.5'"),
        ("x,0,conv,,3,32,64,1,8,1,16,3", "kernel must be a whole number .* but is ''"),
        ("x,0,fc,3,3,1,64,1,8,1,16,3", "kernel of an fc layer must be 1, but is '3'"),
        (",0,conv,3,3,32,64,1,8,1,16,3", "line 2: net is empty"),
        ("x,0,conv,3,3,32", "line 2: has 6 values for 12 columns"),
    ],
)
def test_wrong_lines_are_input_errors(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_builds(_file(tmp_path, HEAD, line))


def test_missing_files_and_columns_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_builds(tmp_path / "none.csv")
    with pytest.raises(InputError, match="needs a line of column names"):
        read_builds(_file(tmp_path, HEAD))
    with pytest.raises(InputError, match="column 'simd' is missing"):
        read_builds(_file(tmp_path, HEAD.removesuffix(",SIMD"), "x,0,fc,1,3,1,64,1,8,1,16"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("net,lut\nlfcW1A2,3", "no layers of network 'lfcW1A2'; did you mean 'lfcW1A1'"),
        ("net,lut\nlfcW1A1,-3", r"lut must be a whole number in 0\.\."),
        ("net,clock_mhz\nlfcW1A1,100", "none of lut, ff, dsp, lutram, ramb36, ramb18 is given"),
        ("name,lut\nlfcW1A1,3", "column 'net' is missing"),
    ],
)
def test_wrong_reports_are_input_errors(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "reports.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_builds(LAYERS, path)
