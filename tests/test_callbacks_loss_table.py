"""The table of losses: one row an epoch, whatever happened to the run."""

from tf_cyclegan.callbacks import LossTable
from tf_cyclegan.evaluating.logs import read_rows


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


def test_a_damaged_table_begins_anew(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_bytes(b"epoch,loss\n0,2.5\n\x00\xff,")
    LossTable(path).on_epoch_end(1, {"loss": 1.5})
    assert path.read_text() == "epoch,loss\n1,1.5\n"
