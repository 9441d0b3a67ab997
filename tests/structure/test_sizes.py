"""Files and functions stay short enough to be read, and are named by what is in them."""

from __future__ import annotations

import ast

from tests.structure import tree

LONGEST_FUNCTION = 70
LONGEST_FILE = 400
SAY_NOTHING = {"base", "common", "data", "helper", "helpers", "info", "manager", "misc", "tools", "util", "utils"}
SAY_NOTHING_IN_CLASSES = ("Base", "Manager", "Helper", "Util", "Utils", "Data", "Info")


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path): len(tree.text(path).splitlines()) for path in tree.python_files()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_70_lines() -> None:
    too_long = [
        f"{path}:{node.lineno} {node.name} has {length} lines"
        for path in tree.python_files()
        for node in ast.walk(tree.syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert too_long == []


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    names = {part for path in tree.python_files() for part in path.with_suffix("").parts}
    assert names & SAY_NOTHING == set()


def test_no_class_has_a_name_that_says_nothing() -> None:
    empty = [
        f"{path}:{node.lineno} {node.name}"
        for path in tree.python_files()
        for node in ast.walk(tree.syntax(path))
        if isinstance(node, ast.ClassDef)
        and (node.name.startswith("Base") or node.name.endswith(SAY_NOTHING_IN_CLASSES))
    ]
    assert empty == []


def test_every_file_of_the_product_says_what_it_is() -> None:
    mute = [
        str(path)
        for path in tree.python_files()
        if path.parts[0] in ("marketplace", "benchmarks")
        and tree.text(path).strip()
        and not ast.get_docstring(tree.syntax(path))
    ]
    assert mute == []
