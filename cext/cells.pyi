"""Cells: what a process holds of one state of a key, where that can be over, in whole or in part."""

from typing import final

from typing_extensions import disjoint_base

from cext.keyed import Undoable

@disjoint_base
class Cell(Undoable): ...

@final
class Aged(Cell): ...

@final
class Items(Cell): ...

@final
class Entries(Cell): ...
