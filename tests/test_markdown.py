"""Markdown tables are written aligned and read back."""

from lth.analysis.markdown import aligned, blocks


def test_cells_are_aligned_right_or_left() -> None:
    assert aligned([["a", "name"], ["12.5", "x"]], left=[1]).splitlines() == [
        "|    a | name |",
        "| ---: | ---- |",
        "| 12.5 | x    |",
    ]


def test_a_column_is_wide_enough_for_its_rule() -> None:
    assert aligned([["", "b"]], left=[1]).splitlines() == ["|    | b   |", "| -: | --- |"]


def test_tables_and_lines_are_read_back() -> None:
    text = "### title\n\n| a | b |\n| --: | --- |\n| 1 |  |\n| 2 | y |\n\n* one\n- two\n\n-3 below\n"
    first, second, *rest = blocks(text)
    assert (first, rest) == ("title", ["one", "two", "-3 below"])
    assert second == [["a", "b"], ["1", ""], ["2", "y"]]
