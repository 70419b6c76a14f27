"""Time series from long tables, and their scaling: written-out values, gaps, missing values and every refusal."""

import gzip
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gatewise.data.scaler import Scaler
from gatewise.data.series import read_series
from gatewise.errors import DataError, RunError, UsageError

TABLE = """who,when,a,b,kind
x,3,1.5,NA,p
y,10,1,1,q
x,1,2,3e1,p
x,2,,nan,p
y,20,-4,0,q
"""


def written(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content.encode())
    return path


def read(path, **options):
    names = {"id": "who", "time": "when", "features": ["a", "b"], "label": "kind"}
    return read_series(path, **(names | options))


def table_of(rows, header="who,when,a,b,kind"):
    return "\n".join([header, *rows]) + "\n"


def refusal(path, error=DataError, **options):
    with pytest.raises(error) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


def test_rows_are_grouped_by_id_and_ordered_by_time(tmp_path):
    path = written(tmp_path, TABLE)
    series = read(path)
    assert (series.ids, series.labels, series.features) == (["x", "y"], ["p", "q"], ["a", "b"])
    np.testing.assert_array_equal(series.values[0], [[2, 30], [np.nan, np.nan], [1.5, np.nan]])
    np.testing.assert_array_equal(series.values[1], [[1, 1], [-4, 0]])
    np.testing.assert_array_equal(series.times[0], [1, 2, 3])
    assert {one.dtype for one in [*series.values, *series.times]} == {np.dtype(np.float64)}
    assert series.notes == ["missing values among 5 steps: a 1, b 2"]
    assert (series.source, series.sha256, series.dates) == (
        str(path),
        hashlib.sha256(path.read_bytes()).hexdigest(),
        False,
    )


def test_the_same_from_a_compressed_tsv_file_and_in_another_order_of_features(tmp_path):
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(TABLE.replace(",", "\t").encode()))
    np.testing.assert_array_equal(read(path, features=["b", "a"]).values[1], [[1, 1], [0, -4]])


def test_dates_become_seconds_and_gaps_are_counted(tmp_path):
    days = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-06T12:00:00"]
    rows = [f"x,{day},1,1,p" for day in days] + ["y,2024-02-01,1,1,q", "y,2030-01-01,1,1,q"]
    series = read(written(tmp_path, table_of(rows)))
    day = 86400
    np.testing.assert_array_equal(np.diff(series.times[0]), [day, day, 2 * day, 1.5 * day])
    assert series.times[0][0] == 1704067200
    assert series.dates is True
    assert series.notes == ["1 gap in time (longer than 1.5 times the usual step) in 1 of 2 sequences"]


def test_dates_with_zones_are_compared_as_moments(tmp_path):
    rows = ["x,2024-01-01T10:00+02:00,1,1,p", "x,2024-01-01T09:00Z,2,1,p", "y,2024-01-01T00:00Z,3,3,q"]
    np.testing.assert_array_equal(read(written(tmp_path, table_of(rows))).times[0], [1704096000, 1704099600])


def test_labels_are_neither_needed_nor_read_for_predicting(tmp_path):
    path = written(tmp_path, "who,when,a,b\nx,1,1,2\n")
    assert read(path, need_labels=False).labels is None
    assert read(path, label=None, need_labels=False).ids == ["x"]


def test_a_subset_keeps_source_and_notes(tmp_path):
    series = read(written(tmp_path, TABLE))
    part = series.subset([1])
    assert (part.ids, part.labels, len(part), part.notes) == (["y"], ["q"], 1, series.notes)
    np.testing.assert_array_equal(part.values[0], series.values[1])
    np.testing.assert_array_equal(part.times[0], [10, 20])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["x,1,1,2,p", "x,2,1,high,p"], ", line 3: 'b' is 'high', which is not a number"),
        (["x,1,1,2,p", "x,2,1_0,2,p"], ", line 3: 'a' is '1_0', which is not a number"),
        (["x,1,inf,2,p"], ", line 2: 'a' is 'inf', beyond what float32 can hold"),
        (["x,1,1,-1e999,p"], ", line 2: 'b' is '-1e999', beyond what float32 can hold"),
        (["x,1,1,3.5e38,p"], ", line 2: 'b' is '3.5e38', beyond what float32 can hold"),
        (
            ["x,1,1,2,p", "y,1,1,2,q", "x,2,1,2,q"],
            ", line 4: id 'x' has the label 'q' here and 'p' on line 2",
        ),
        (["x,1,1,2,p", "y,1,1,2,"], ", line 3: the label in 'kind' is empty"),
        (["x,1,1,2,p", " ,1,1,2,q"], ", line 3: the id in 'who' is empty"),
        (["x,1,1,2,p", "x,2,1,2,p"], ": the label of 1 sequence is always 'p'; two labels are needed"),
        (
            ["x,2,1,2,p", "x,1,1,2,p", "x,2.0,1,2,p"],
            ", line 4: id 'x' has the same time in 'when' as on line 2",
        ),
        (["x,,1,2,p"], ", line 2: the time in 'when' is '', neither a finite number nor an ISO date"),
        (["x,NaN,1,2,p"], ", line 2: the time in 'when' is 'NaN', neither a finite number nor an ISO date"),
        (["x,inf,1,2,p"], ", line 2: the time in 'when' is 'inf', neither a finite number nor an ISO date"),
        (["x,May,1,2,p"], ", line 2: the time in 'when' is 'May', neither a finite number nor an ISO date"),
        (
            ["x,1,1,2,p", "y,2024-01-01,1,2,q"],
            ", line 3: the time in 'when' is a date without a time zone here and a number on line 2",
        ),
        (
            ["x,2024-01-01T00:00Z,1,2,p", "y,2024-01-01,1,2,q"],
            ", line 3: the time in 'when' is a date without a time zone here and a date with a time zone on line 2",
        ),
        (["x,1,1,2,p", "x,2,1,2"], ", line 3: 4 fields, where the header has 5 columns"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_place(tmp_path, rows, sentence):
    assert refusal(written(tmp_path, table_of(rows))) == sentence


def test_columns_and_files_that_are_not_there(tmp_path):
    path = written(tmp_path, "who,when,a,kind\nx,1,2,p\n")
    assert refusal(path) == (
        ": there is no column 'b'; the columns are 'who' ('x'), 'when' ('1'), 'a' ('2'), 'kind' ('p')"
    )
    path = written(tmp_path, "{}", "t.jsonl")
    assert refusal(path) == ": a table of series ends in .csv or .tsv, or one of these and .gz"
    assert refusal(tmp_path / "no.csv") == ": there is no such file"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"features": []}, "a series needs one feature column at least"),
        ({"label": None}, "the label column is not named"),
        ({"features": ["a", "a"]}, "the column 'a' is named 2 times among id, time, features and label"),
        (
            {"features": ["a", "kind"]},
            "the column 'kind' is named 2 times among id, time, features and label",
        ),
    ],
)
def test_a_call_that_names_the_columns_wrongly(tmp_path, options, sentence):
    assert refusal(written(tmp_path, TABLE), UsageError, **options) == sentence


def test_scaling_is_of_the_training_part_and_leaves_out_what_is_missing():
    scaler = Scaler.fit([np.array([[1.0, 5.0], [np.nan, 5.0]]), np.array([[3.0, 5.0], [5.0, np.nan]])])
    np.testing.assert_allclose(scaler.mean, [3, 5], rtol=0, atol=0)
    np.testing.assert_allclose(scaler.std, [np.sqrt(8 / 3), 1], rtol=1e-15)  # 5 never changes: deviation 1
    scaled = scaler.transform(np.array([[np.nan, 6.0], [5.0, np.nan], [np.nan, np.nan], [1.0, 4.0]]))
    unit = 2 / np.sqrt(8 / 3)
    np.testing.assert_array_equal(scaled, np.float32([[0, 1], [unit, 1], [unit, 1], [-unit, -1]]))
    assert scaled.dtype == np.float32
    assert scaler.transform(np.zeros((0, 2))).shape == (0, 2)


def test_a_constant_that_is_no_binary_fraction_is_still_constant():
    scaler = Scaler.fit([np.full((1000, 1), 0.1)])
    assert scaler.std.tolist() == [1.0]
    np.testing.assert_allclose(scaler.transform(np.array([[0.1], [1.1]])), [[0], [1]], atol=1e-7)


@given(
    arrays.arrays(
        np.float64,
        (7, 2),
        elements=st.one_of(st.just(np.nan), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))),
    )
)
def test_the_training_part_has_mean_zero_and_deviation_one_and_a_scaler_survives_json(values):
    values = np.vstack([values, [[0.0, 1.0], [1.0, -1.0]]])
    scaler = Scaler.fit([values[:4], values[4:]])
    there = ~np.isnan(values)
    scaled = scaler.transform(values).astype(np.float64)
    for feature in range(2):
        known = scaled[there[:, feature], feature]
        assert abs(known.mean()) < 1e-5
        assert abs(known.std() - 1) < 1e-5
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert again.mean.tolist() == scaler.mean.tolist()
    assert again.std.tolist() == scaler.std.tolist()
    for step, feature in zip(*np.nonzero(~there), strict=True):
        before = scaled[step - 1, feature] if step else 0.0
        assert scaled[step, feature] == before


def test_a_scaling_that_cannot_be_fitted_or_applied():
    with pytest.raises(DataError, match="the training part has no step to fit a scaling on"):
        Scaler.fit([])
    with pytest.raises(DataError, match="feature 2 of 2 is missing at all 2 training steps"):
        Scaler.fit([np.array([[1.0, np.nan], [2.0, np.nan]])])
    scaler = Scaler.fit([np.array([[0.0], [1e-9]])])
    with pytest.raises(UsageError, match=r"the values have shape \(3, 2\); the scaling is for \[T, 1\]"):
        scaler.transform(np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"step 2, feature 1: 1e\+38 scales beyond float32"):
        scaler.transform(np.array([[0.0], [1e38]]))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"mean": [1.0]},
        {"mean": "x", "std": [1.0]},
        {"mean": [1.0], "std": [1.0, 2.0]},
        {"mean": [1.0], "std": [0.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": [1.0], "std": [float("inf")]},
        {"mean": [[1.0]], "std": [[1.0]]},
        {"mean": [1.0, [2.0]], "std": [1.0]},
        None,
    ],
)
def test_a_stored_scaling_that_is_none(stored):
    with pytest.raises(RunError, match="the stored scaling"):
        Scaler.from_dict(stored)
