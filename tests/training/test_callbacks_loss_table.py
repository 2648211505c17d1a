"""The table of losses: one row an epoch, whatever happened to the run."""

import pytest
from callbacks_fake import FakeModel

from tf_cyclegan.evaluation.tables import read_rows
from tf_cyclegan.training.callbacks import Evaluation, LossTable


def test_an_epoch_has_one_row_however_often_a_run_goes_on(tmp_path):
    for epochs in ([0, 1, 2], [1, 2], [2, 3]):  # killed after its third epoch, stopped in the third
        table = LossTable(tmp_path / "losses.csv")
        for epoch in epochs:
            table.on_epoch_end(epoch, {"loss": len(epochs) + epoch / 10, "cycle_a": 0.5})
    assert (tmp_path / "losses.csv").read_text() == ("epoch,cycle_a,loss\n0,0.5,3.0\n1,0.5,2.1\n2,0.5,2.2\n3,0.5,2.3\n")


def test_the_empty_columns_of_earlier_versions_go(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_text("epoch,loss,val_loss\n0,2.5,\n1,2.0,\n")
    LossTable(path).on_epoch_end(2, {"loss": 1.5})
    assert path.read_text() == "epoch,loss\n0,2.5\n1,2.0\n2,1.5\n"
    assert read_rows(path)[-1] == {"epoch": 2, "loss": 1.5}


@pytest.mark.parametrize(
    "damage", [b"\0\0\0\n", b"note,\n", b"\x00\xff,", b"3\n\xff\xfe\n", b"2,0.8,1,2\n", b"2,0.\xff\n", b"\n\n,\n"]
)
def test_rows_that_are_damaged_go_and_the_others_stay(damage, tmp_path):
    path = tmp_path / "losses.csv"
    path.write_bytes(b"epoch,loss\n0,1.0\n1,0.9\n" + damage)
    LossTable(path).on_epoch_end(3, {"loss": 0.7})
    assert path.read_text() == "epoch,loss\n0,1.0\n1,0.9\n3,0.7\n"
    assert [each.name for each in tmp_path.iterdir()] == ["losses.csv"]


@pytest.mark.parametrize("damage", [b"epoch,loss\n0," + b"9" * 200_000 + b"\n", b"\0\0\0\n0,1.0\n", None])
def test_a_table_that_cannot_be_read_is_moved_aside(damage, tmp_path):
    path, lines = tmp_path / "losses.csv", []
    (tmp_path / "losses.csv.1").write_text("of an earlier time")
    if damage is None:
        path.mkdir()
    else:
        path.write_bytes(damage)
    LossTable(path, lines.append).on_epoch_end(1, {"loss": 1.5})
    assert path.read_text() == "epoch,loss\n1,1.5\n"
    (line,) = lines
    assert str(path) in line and f"It is now {path}.2" in line
    aside = tmp_path / "losses.csv.2"
    assert aside.is_dir() if damage is None else aside.read_bytes() == damage


def test_a_table_of_scores_keeps_its_rows_too(tmp_path):
    model = FakeModel()
    model.step.assign(8)
    (tmp_path / "metrics.csv").write_bytes(b"step,l1\n4,0.5\n\0\0\0\n6," + b"\xff,")
    evaluation = Evaluation(lambda model: {"l1": 0.25}, tmp_path)
    evaluation.set_model(model)
    evaluation.evaluate()
    assert (tmp_path / "metrics.csv").read_text() == "step,l1\n4,0.5\n8,0.25\n"
