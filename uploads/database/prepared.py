"""Statements that Django builds once, for what happens with each file.

To build a statement takes Django several times as long as the database needs to execute it. A statement here is
declared as a query set with `Given` in place of values, so that the models stay the only description of the tables. Its
SQL is built at the first call, and later calls only convert the values:

    _IS_KNOWN = Exists(lambda: Transfer.objects.filter(key=Given(Transfer, "key")))
    _IS_KNOWN(key="backups/a")

The query set must depend on nothing but the models: it is built once for each kind of database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.query import get_related_populators
from django.db.models.sql import InsertQuery, UpdateQuery

M = TypeVar("M", bound=models.Model)

Build = Callable[[], models.QuerySet[Any]]

_PLAIN: Mapping[type, type] = {
    models.CharField: str,
    models.TextField: str,
    models.BooleanField: bool,
    models.IntegerField: int,
    models.BigIntegerField: int,
    models.PositiveIntegerField: int,
    models.AutoField: int,
    models.BigAutoField: int,
}
"""Fields whose values of this type are stored as they are. Not those derived from them, which may convert."""


_populators: Any = get_related_populators
"""The type stubs describe another version of Django."""


class _Column:
    """What a column does with a value before it is stored."""

    def __init__(self, field: Any) -> None:
        self.field = field
        target = field.target_field if isinstance(field, models.ForeignKey) else field
        self._plain = _PLAIN.get(type(target))
        self._keeps_none = type(target).__module__.startswith("django.")

    def stored(self, value: Any, connection: Any) -> Any:
        if type(value) is self._plain or (value is None and self._keeps_none):
            return value
        return self.field.get_db_prep_save(value, connection)


class _Texts:
    """Several texts as one parameter."""

    def stored(self, value: Sequence[str], connection: Any) -> Any:
        return list(value) if connection.vendor == "postgresql" else json.dumps(value)


class _Values:
    """Several values of a column as one parameter."""

    def __init__(self, field: Any) -> None:
        self._field = field

    def stored(self, values: Iterable[Any], connection: Any) -> Any:
        prepared = [self._field.get_db_prep_save(each, connection) for each in values]
        return prepared if connection.vendor == "postgresql" else json.dumps(prepared)


@dataclass(frozen=True, slots=True)
class _Slot:
    """The place of a value among the parameters of a statement."""

    name: str
    column: _Column | _Texts | _Values


class Given(models.Expression):
    """A value of a column that is given when the statement is executed, by default under the name of the column."""

    def __init__(self, model: type[models.Model], column: str, name: str = "") -> None:
        field: Any = model._meta.get_field(column)
        super().__init__(output_field=field)
        self._slot = _Slot(name or column, _Column(field))

    def as_sql(self, _compiler: Any, _connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return "%s", [self._slot]


class GivenTexts(models.Expression):
    """Texts that are given when the statement is executed, for `in`: `filter(key__in=GivenTexts("keys"))`.

    They are one parameter, however many there are. Django would convert each, and the database would read a statement
    with a place for each: ten times the time for 1,000 texts. They must have no NUL and no lone surrogates.
    """

    def __init__(self, name: str) -> None:
        super().__init__(output_field=models.TextField())
        self._slot = _Slot(name, _Texts())

    def as_sql(self, _compiler: Any, _connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return "(SELECT UNNEST(%s::text[]))", [self._slot]

    def as_sqlite(self, _compiler: Any, _connection: Any) -> tuple[str, list[Any]]:
        return "(SELECT value FROM json_each(%s))", [self._slot]


class GivenKeys(models.Expression):
    """Several keys of a model that are given when the statement is executed, for `in`, as one parameter.

    SQLite expects to find few rows for them. It may prefer another condition that has an index.
    """

    def __init__(self, model: type[models.Model], name: str) -> None:
        self._field: Any = model._meta.pk
        super().__init__(output_field=self._field)
        self._slot = _Slot(name, _Values(self._field))

    def as_sql(self, _compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return f"(SELECT UNNEST(%s::{self._field.rel_db_type(connection)}[]))", [self._slot]

    def as_sqlite(self, _compiler: Any, _connection: Any) -> tuple[str, list[Any]]:
        return "(SELECT value FROM json_each(%s))", [self._slot]


@dataclass(frozen=True, slots=True)
class _Built:
    """A statement, its parameters with slots, and how the columns of its rows are converted."""

    sql: str
    params: tuple[Any, ...]
    converters: Sequence[tuple[int, Sequence[Callable[..., Any]], Any]] = ()
    columns: tuple[str, ...] = ()
    related: Sequence[Any] = ()
    """What makes the related objects of a row, whose columns follow those of the object."""

    def filled(self, given: Mapping[str, Any], connection: Any) -> list[Any]:
        return [
            each.column.stored(given[each.name], connection) if isinstance(each, _Slot) else each
            for each in self.params
        ]

    def converted(self, row: Sequence[Any], connection: Any) -> list[Any]:
        values = list(row)
        for position, functions, expression in self.converters:
            for function in functions:
                values[position] = function(values[position], expression, connection)
        return values


class _Statement:
    """What all statements have: their SQL for each kind of database."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._built: dict[str, _Built] = {}

    def _for(self, connection: Any) -> _Built:
        built = self._built.get(connection.vendor)
        if built is None:
            built = self._built[connection.vendor] = self._compiled(self._build(), connection)
        return built

    def _compiled(self, rows: models.QuerySet[Any], connection: Any) -> _Built:
        return _selecting(rows.query, connection)


class Exists(_Statement):
    """Whether there is such a row."""

    def __call__(self, **given: Any) -> bool:
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.execute(built.sql, built.filled(given, connection))
            return cursor.fetchone() is not None

    def _compiled(self, rows: models.QuerySet[Any], connection: Any) -> _Built:
        return _selecting(rows.query.exists(), connection)


class Rows(_Statement):
    """The rows of a query set with `values_list`."""

    def __call__(self, **given: Any) -> list[list[Any]]:
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.execute(built.sql, built.filled(given, connection))
            return [built.converted(row, connection) for row in cursor.fetchall()]


class First(_Statement, Generic[M]):
    """The object of the first row, with what `select_related` of the query set names. None without a row."""

    def __init__(self, model: type[M], build: Build) -> None:
        super().__init__(build)
        self._model = model

    def __call__(self, **given: Any) -> M | None:
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.execute(built.sql, built.filled(given, connection))
            row = cursor.fetchone()
        if row is None:
            return None
        values = built.converted(row, connection)
        found = self._model.from_db(connection.alias, built.columns, values[: len(built.columns)])
        for each in built.related:
            each.populate(values, found)
        return found

    def _compiled(self, rows: models.QuerySet[Any], connection: Any) -> _Built:
        return _selecting(rows[:1].query, connection)


class Update(_Statement):
    """Changes the rows, and returns their number. `changes` may have `Given` too."""

    def __init__(self, build: Build, changes: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(build)
        self._changes = changes

    def __call__(self, **given: Any) -> int:
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.execute(built.sql, built.filled(given, connection))
            return int(cursor.rowcount)

    def for_each(self, given: Iterable[Mapping[str, Any]]) -> int:
        """Execute it with each of these values. Returns the number of all rows that were changed."""
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.executemany(built.sql, [built.filled(each, connection) for each in given])
            return int(cursor.rowcount)

    def _compiled(self, rows: models.QuerySet[Any], connection: Any) -> _Built:
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(dict(self._changes()))
        sql, params = query.get_compiler(connection=connection).as_sql()
        return _Built(sql, tuple(params))


@dataclass(frozen=True, slots=True)
class _Inserted:
    """A statement that inserts a row. `own_value`: whether the column finds its value itself, such as the time."""

    sql: str
    columns: tuple[tuple[_Column, bool], ...]
    returns_key: bool

    def values(self, row: models.Model, connection: Any) -> list[Any]:
        return [
            each.stored(each.field.pre_save(row, True) if own_value else getattr(row, each.field.attname), connection)
            for each, own_value in self.columns
        ]


class Insert(Generic[M]):
    """Inserts an object, as `save(force_insert=True)` does for a model without signals and without parents."""

    _reads_key = True

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self._built: dict[str, _Inserted] = {}

    def __call__(self, row: M) -> M:
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.execute(built.sql, built.values(row, connection))
            if built.returns_key:
                row.pk = cursor.fetchone()[0]
        row._state.adding, row._state.db = False, connection.alias
        return row

    def _for(self, connection: Any) -> _Inserted:
        built = self._built.get(connection.vendor)
        if built is None:
            built = self._built[connection.vendor] = self._compiled(connection)
        return built

    def _compiled(self, connection: Any) -> _Inserted:
        key = self._model._meta.auto_field
        fields: list[Any] = [field for field in self._model._meta.concrete_fields if field is not key]
        query: Any = InsertQuery(self._model)
        query.insert_values(fields, [self._model()])
        compiler = query.get_compiler(connection=connection)
        compiler.returning_fields = [] if key is None or not self._reads_key else [key]
        ((sql, _params),) = compiler.as_sql()
        columns = tuple((_Column(each), type(each).pre_save is not models.Field.pre_save) for each in fields)
        return _Inserted(sql, columns, bool(compiler.returning_fields))


class InsertMany(Insert[M]):
    """Inserts objects by one statement that is executed for each. Keys that the database makes are not read."""

    _reads_key = False

    def __call__(self, rows: Sequence[M]) -> None:  # type: ignore[override]
        connection = connections[DEFAULT_DB_ALIAS]
        built = self._for(connection)
        with connection.cursor() as cursor:
            cursor.executemany(built.sql, [built.values(row, connection) for row in rows])
        for row in rows:
            row._state.adding, row._state.db = False, connection.alias


def _selecting(query: Any, connection: Any) -> _Built:
    compiler = query.get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    expressions = [each for each, _sql, _alias in compiler.select]
    found = compiler.get_converters(expressions)
    converters = [(position, *each) for position, each in found.items()]
    known = compiler.klass_info
    columns: list[Any] = [expressions[place] for place in known["select_fields"]] if known else expressions
    names = tuple(each.target.attname for each in columns if hasattr(each, "target"))
    related = _populators(known, compiler.select, connection.alias) if known else []
    return _Built(sql, tuple(params), converters, names, related)
