"""trials.csv and pareto.csv: columns, order, exact text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dse.pareto import wilson
from dse.report import pareto_frame, trials_frame, write_tables
from dse.study.folder import StudyFolder

from .studies import complete_trial, random_trials, unfinished_trial, write_study

HEADER = (
    "trial,state,accuracy,test_accuracy,test_accuracy_low,test_accuracy_high,memory_bytes,"
    "compression,lut,ff,dsp,bram18,latency_s,fps,bytes_per_inference,fits,"
    "conv1.prune_ratio,conv1.density,conv1.weight_bits,conv1.activation_bits,conv1.format,"
    "conv1.packed_bits,origin,reason,template,conv1.channel_ratio,device_type"
)


def one_layer(tmp_path: Path, *trials: object) -> StudyFolder:
    return write_study(tmp_path / "study", trials, layer_names=["conv1"])  # type: ignore[arg-type]


def test_trials_csv_by_hand(tmp_path: Path) -> None:
    folder = one_layer(
        tmp_path,
        complete_trial(0, 1.0, 6171),
        unfinished_trial(1, "infeasible", "fits, LUT", {"memory_bytes": 5000.0, "fits": 0}),
        unfinished_trial(2, "failed", "diverged"),
    )
    write_tables(folder)
    # 246,824 / 6171 = 39.997407...; ff is 11000.0 in JSON and still a count.
    low, high = wilson(9990, 10_000)
    assert folder.trials_csv.read_bytes().decode() == (
        f"{HEADER}\n"
        f"0,complete,1.0,0.999,{low!r},{high!r},6171,39.997407227353754,11800,"
        "11000,40,33,0.00041,2439.0,1568,True,0.9,0.1,4,4,bitmap,210,sampler,,dataflow,0.0,cpu\n"
        "1,infeasible,,,,,5000,,,,,,,,,False,0.1,,16,16,,,sampler,\"fits, LUT\",,0.0,\n"
        "2,failed,,,,,,,,,,,,,,,0.1,,16,16,,,sampler,diverged,,0.0,\n"
    )  # fmt: skip


def test_pareto_csv_is_the_front_by_memory(tmp_path: Path) -> None:
    folder = one_layer(
        tmp_path,
        complete_trial(0, 0.99, 9000),
        complete_trial(1, 0.97, 9500),
        complete_trial(2, 0.98, 5000),
    )
    frame = pareto_frame(folder)
    assert frame["trial"].tolist() == [2, 0]
    assert frame["memory_bytes"].tolist() == [5000, 9000]
    assert frame["test_accuracy"].tolist() == [0.979, 0.989]


def test_a_broken_count_is_not_rounded(tmp_path: Path) -> None:
    folder = one_layer(
        tmp_path, unfinished_trial(0, "infeasible", "", {"lut": 10.5, "ff": float("inf")})
    )
    frame = trials_frame(folder)
    assert frame["lut"].tolist() == [10.5]
    assert frame["ff"].tolist() == [float("inf")]


def test_csv_reads_back_as_the_frame(searched: StudyFolder) -> None:
    write_tables(searched)
    for path, frame in (
        (searched.trials_csv, trials_frame(searched)),
        (searched.pareto_csv, pareto_frame(searched)),
    ):
        read = pd.read_csv(path, dtype=frame.dtypes.to_dict())
        text_columns = frame.select_dtypes("object").columns
        read[text_columns] = read[text_columns].fillna("")
        wanted = frame.copy()
        wanted[text_columns] = wanted[text_columns].fillna("")
        pd.testing.assert_frame_equal(read, wanted)


def test_both_tables_have_the_same_columns(searched: StudyFolder) -> None:
    assert list(trials_frame(searched)) == list(pareto_frame(searched))


def test_a_layer_name_may_look_like_a_column(tmp_path: Path) -> None:
    trial = unfinished_trial(0, "failed", "")
    folder = write_study(tmp_path / "study", [trial], layer_names=["block.fits", "state"])
    frame = trials_frame(folder)
    assert frame["state.weight_bits"].isna().all()
    assert frame["block.fits.density"].isna().all()


def test_no_trials_still_have_a_header(tmp_path: Path) -> None:
    folder = one_layer(tmp_path)
    write_tables(folder)
    assert folder.trials_csv.read_text() == folder.pareto_csv.read_text() == f"{HEADER}\n"


def test_same_records_same_bytes(tmp_path: Path) -> None:
    texts = []
    for name in ("first", "second"):
        folder = write_study(tmp_path / name, random_trials(30))
        write_tables(folder)
        texts.append((folder.trials_csv.read_bytes(), folder.pareto_csv.read_bytes()))
    assert texts[0] == texts[1]
