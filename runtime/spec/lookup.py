"""Looks one column reference up, from the innermost query outwards, and notes what the fragment uses."""

from collections.abc import Iterable
from functools import reduce

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.nearest import did_you_mean, nearest
from runtime.spec.outputs import combined
from runtime.spec.scope import RESERVED, Field, Frame, Relation, Surroundings, Uses


class Lookup:
    """The columns of one fragment, and the problems on the way."""

    def __init__(self, around: Surroundings, path: str) -> None:
        self.around = around
        self.path = path
        self.uses = Uses()
        self.columns: dict[int, Field] = {}
        self.problems: list[Problem] = []

    def problem(self, code: str, message: str, fix: str) -> None:
        """Note what is wrong."""
        self.add(Problem(self.path, code, message, fix))

    def add(self, problem: Problem) -> None:
        """Note a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def column(self, node: exp.Column, frame: Frame) -> None:
        """Find what a column reference means, and note it."""
        if node.table:
            relation = self.qualifier(node, frame)
            if relation is not None:
                self._member(node, relation)
            return
        found = self._bare(node, frame)
        if found is None:
            self._whole_row_or_unknown(node, frame)

    def member(self, row: exp.Column, name: str, frame: Frame) -> None:
        """Find `(row).name`: a column of a relation whose columns are known, never a function of that name."""
        relation = frame.relation(row.name) or self.around.rows.get(row.name)
        if relation is None or self._bare(row, frame) is not None:
            self.problem("not-allowed", f"{row.name!r} is no row whose columns are known.", "Write alias.column.")
        else:
            self._member(exp.column(name, table=row.name), relation)

    def qualifier(self, node: exp.Column, frame: Frame) -> Relation | None:
        """Return what stands before the dot: an alias, or a row of the language; a problem when it is neither."""
        name = node.table
        relation = frame.relation(name)
        if relation is not None:
            return relation
        if name in self.around.rows:
            return self.around.rows[name]
        if name in self.around.missing:
            self.problem(
                "not-here", f"{name!r} does not exist here: {self.around.missing[name]}.", "Say it without it."
            )
        elif self.around.bare is not None:
            message = f"{node.sql('postgres', identify=False)!r} has a prefix."
            self.problem(
                "prefix-not-allowed", message.replace('"', ""), "Write bare columns of the row here, like status."
            )
        else:
            known = [alias for alias in _aliases(frame) if alias] + list(self.around.rows)
            fix = (
                did_you_mean(name, known, otherwise=f"Known here: {', '.join(sorted(known))}.")
                if known
                else "Add it to FROM."
            )
            self.problem("unknown-alias", f"unknown table or alias {name!r}.", fix)
        return None

    def starred(self, relations: Iterable[Relation], merged: set[str]) -> list[Field]:
        """Return the columns of `*`, noting all of them as used; columns merged by USING count once."""
        fields: list[Field] = []
        for relation in relations:
            self.all_of(relation)
            for f in relation.fields.values():
                place = next((n for n, known in enumerate(fields) if known.name == f.name and f.name in merged), None)
                if place is None:
                    fields.append(f)
                else:
                    fields[place] = combined([fields[place]], [f])[0]
        return fields

    def found_in(self, node: exp.Column, frame: Frame) -> bool:
        """Return whether the frame's own relations have a column of that name."""
        return any(node.name in relation.fields for relation in frame.relations.values())

    def _bare(self, node: exp.Column, frame: Frame) -> Field | None:
        """Find a column without prefix in this query, then in those around it, then in the bare row."""
        level: Frame | None = frame
        while level is not None:
            holders = [r for r in level.relations.values() if node.name in r.fields]
            if len(holders) > 1 and node.name not in level.merged:
                fix = "Write it with the alias of the table that is meant."
                self.problem("ambiguous-column", f"{node.name!r} is in more than one table here.", fix)
            if len(holders) > 1:
                return self._merged(node, holders)
            if holders:
                return self._member(node, holders[0])
            if any(r.is_open for r in level.relations.values()) and node.name not in level.relations:
                return self._note(node, Field(node.name))
            level = level.parent
        bare = self.around.bare
        return self._member(node, bare) if bare and (bare.is_open or node.name in bare.fields) else None

    def _member(self, node: exp.Column, relation: Relation) -> Field | None:
        name = node.name
        if relation.row or relation is self.around.bare:
            self.uses.rows.setdefault(relation.row, set()).add(name)
        if name not in relation.fields:
            if relation.is_open:
                return self._note(node, Field(name))
            where = relation.row or relation.table or node.table
            self.problem("unknown-column", f"unknown column {name!r} in {where}.", did_you_mean(name, relation.fields))
            return None
        if relation.table:
            self.uses.columns.add(f"{relation.table}.{name}")
        return self._note(node, relation.fields[name])

    def _merged(self, node: exp.Column, holders: list[Relation]) -> Field:
        """Note a column that USING made of several: its values can come from any of them."""
        merged = [self._member(node, holder) or Field(node.name) for holder in holders]
        return self._note(node, reduce(lambda left, right: combined([left], [right])[0], merged))

    def _note(self, node: exp.Column, found: Field) -> Field:
        self.columns[id(node)] = found
        return found

    def all_of(self, relation: Relation) -> None:
        """Note every column of a relation as used."""
        if relation.table:
            self.uses.columns |= {f"{relation.table}.{name}" for name in relation.fields}
        if relation.row:
            self.uses.rows.setdefault(relation.row, set()).update(relation.fields)

    def _whole_row_or_unknown(self, node: exp.Column, frame: Frame) -> None:
        relation = frame.relation(node.name) or self.around.rows.get(node.name)
        if relation is not None:
            self.all_of(relation)
            self._note(node, Field(node.name))
            return
        if node.name in self.around.missing:
            reason = self.around.missing[node.name]
            self.problem("not-here", f"{node.name!r} does not exist here: {reason}.", "Say it without it.")
            return
        self.problem("unknown-column", f"unknown column {node.name!r}.", self._nearest_column(node.name, frame))

    def _nearest_column(self, name: str, frame: Frame) -> str:
        if name in {"now", "today"}:
            return "Did you mean ':now', the engine's clock?"
        for row, relation in self.around.rows.items():
            if name in relation.fields:
                return f"Did you mean '{row}.{name}'?"
        fields = {f for relation in _relations(frame) for f in relation.fields}
        if self.around.bare:
            fields |= set(self.around.bare.fields)
        best = nearest(name, fields)
        if best:
            return f"Did you mean {best!r}?"
        rows = [row for row in self.around.rows if row in RESERVED]
        return f"Columns of the row are written {rows[0]}.column." if rows else did_you_mean(name, fields)


def _aliases(frame: Frame | None) -> list[str]:
    return [] if frame is None else [*frame.relations, *_aliases(frame.parent)]


def _relations(frame: Frame | None) -> list[Relation]:
    return [] if frame is None else [*frame.relations.values(), *_relations(frame.parent)]
