"""The same questions by rows, by columns and on PostgreSQL, over random data with NULLs and
extremes: every answer and every SQLSTATE must be the same.

    paths.py [--seed 1] [--queries 400]
"""

import argparse
import random
import sys

from servers import postgres, sluice

COLUMNS = {
    "i2": "smallint", "i4": "int", "i8": "bigint", "f8": "float8", "f4": "real",
    "n2": "numeric(12,2)", "n6": "numeric(30,6)", "n": "numeric", "t": "text", "v": "varchar(9)",
    "c": "char(5)", "b": "boolean", "d": "date", "ts": "timestamp", "tz": "timestamptz",
    "tm": "time", "iv": "interval", "u": "uuid", "y": "bytea",
}
VALUES = {
    "i2": ["0", "1", "-1", "7", "32767", "-32768"],
    "i4": ["0", "1", "-1", "3", "10", "2147483647", "-2147483648"],
    "i8": ["0", "1", "-5", "12", "9223372036854775807", "-9223372036854775808"],
    "f8": ["0", "'-0'", "1.5", "-2.25", "'NaN'", "'Infinity'", "'-Infinity'", "1e100", "1e-100"],
    "f4": ["0", "'-0'", "1.5", "-2.5", "'NaN'", "'Infinity'", "3e38"],
    "n2": ["0", "0.01", "-0.01", "1.50", "9999999999.99", "-9999999999.99"],
    "n6": ["0", "0.000001", "1.5", "999999999999999999999999.999999", "-7.25"],
    "n": ["0", "1.50", "'NaN'", "1e40", "-1e-20", "2"],
    "t": ["''", "'a'", "'A'", "'ab'", "'b%_'", "'ä'", "'a '", "'zz\\\\'"],
    "v": ["''", "'x'", "'x '", "'abc'"],
    "c": ["''", "'x'", "'x  '", "'abcde'"],
    "b": ["true", "false"],
    "d": ["'2024-02-29'", "'1999-12-31'", "'infinity'", "'-infinity'", "'0044-03-15 BC'",
          "'5874897-12-31'", "'2000-01-01'"],
    "ts": ["'2024-02-29 12:34:56.789'", "'1970-01-01'", "'infinity'", "'-infinity'",
           "'9999-12-31 23:59:59.999999'", "'2000-01-01'"],
    "tz": ["'2024-02-29 12:34:56+02'", "'1970-01-01 00:00+00'", "'infinity'", "'2000-06-01'"],
    "tm": ["'00:00'", "'23:59:59.999999'", "'24:00'", "'12:30'"],
    "iv": ["'0'", "'1 mon'", "'3 days'", "'20:00'", "'-1 year 2 days'", "'178000000 years'"],
    "u": ["'00000000-0000-0000-0000-000000000001'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "y": ["''", "'\\\\x00'", "'\\\\xff'", "'a'"],
}
NUMBERS = ["i2", "i4", "i8", "f8", "n2", "n6", "n"]
GROUPS = ["i2", "i4", "n2", "n", "t", "v", "c", "b", "d", "ts", "f8", "iv", "u", "y"]


class Questions:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, items):
        return self.random.choice(items)

    def data(self, rows):
        for table, count in (("r", rows), ("s", rows // 2)):
            yield f"create table {table} (id int primary key, " + ", ".join(
                f"{name} {ty}" for name, ty in COLUMNS.items()) + ");"
            for at in range(count):
                values = [
                    "null" if self.random.random() < 0.15 else self.one(VALUES[c]) for c in COLUMNS
                ]
                yield f"insert into {table} values ({at}, {', '.join(values)});"

    def number(self, q, depth=0):
        column = f"{q}.{self.one(NUMBERS)}"
        if depth > 1 or self.random.random() < 0.4:
            return self.one([column, column, column, "1", "0", "2.5", "100::int8", "3::int2"])
        a, b = self.number(q, depth + 1), self.number(q, depth + 1)
        return self.one([
            f"({a} + {b})", f"({a} - {b})", f"({a} * {b})", f"({a} / {b})", f"(- {a})",
            f"coalesce({a}, {b})", f"case when {self.test(q, 2)} then {a} else {b} end",
            f"nullif({a}, {b})", f"abs({a})", f"greatest({a}, {b})", f"({q}.i4 % {q}.i2)",
        ])

    def test(self, q, depth=0):
        column = self.one(list(COLUMNS))
        value = self.one(VALUES[column])
        simple = [
            f"{q}.{column} {self.one(['=', '<>', '<', '<=', '>', '>='])} {value}",
            f"{q}.{column} is null", f"{q}.{column} is not null",
            f"{q}.{column} is distinct from {value}",
            f"{q}.{column} in ({value}, {self.one(VALUES[column])})",
            f"{q}.{column} not in ({value})",
            f"{q}.t like {self.one(['%a%', 'a%', '_', '%b']).join(['$$', '$$'])}",
            f"{q}.n2 between -1 and 5", f"{q}.i4 > {q}.i2", f"{q}.n2 < {q}.f8", f"{q}.n6 = {q}.n",
            f"{q}.d < {q}.ts",
            f"{q}.ts - interval '1 month' < timestamp '2010-01-01'",
        ]
        if depth < 2 and self.random.random() < 0.3:
            a, b = self.test(q, depth + 1), self.test(q, depth + 1)
            return self.one([f"({a} and {b})", f"({a} or {b})", f"not ({a})"])
        return self.one(simple)

    def aggregate(self, q):
        number, column = self.one(NUMBERS), self.one([c for c in COLUMNS if c not in ("b", "u")])
        return self.one([
            "count(*)", f"count({q}.{column})", f"sum({q}.{number})", f"avg({q}.{number})",
            f"count(distinct {q}.{self.one(GROUPS)})",
            f"min({q}.{self.one([c for c in COLUMNS if c not in ('b', 'u', 'y')])})",
            f"max({q}.{self.one([c for c in COLUMNS if c not in ('b', 'u', 'y')])})",
            f"sum({q}.{number}) filter (where {self.test(q, 2)})", f"sum({self.number(q)})",
            f"bool_and({q}.b)", f"stddev({q}.i2)", f"string_agg({q}.t, ',' order by {q}.id)",
            f"sum(distinct {q}.i2)",
        ])

    def question(self):
        kind = self.random.randrange(13)
        test, number = self.test("r"), self.number("r")
        group = self.one(GROUPS)
        join = self.one(["join", "left join", "full join", "right join"])
        key = self.one(["i4", "n2", "t", "c", "d", "b", "v", "i2"])
        on = self.one([f"r.{key} = s.{key}", f"r.{key} = s.{key} and r.id < s.id",
                       f"r.id = s.id and {self.test('s', 2)}"])
        return [
            lambda: f"select r.id, {number} from r where {test}",
            lambda: f"select {self.aggregate('r')}, {self.aggregate('r')} from r where {test}",
            lambda: f"select r.{group}, {self.aggregate('r')} from r group by r.{group}",
            lambda: f"select r.{group}, {self.aggregate('r')} from r where {test} "
                    f"group by r.{group} having count(*) > 2",
            lambda: f"select r.id, s.id from r {join} s on "
                    + (on if join != "full join" else f"r.{key} = s.{key}"),
            lambda: f"select r.id from r where {self.one(['', 'not '])}exists "
                    f"(select 1 from s where s.{key} = r.{key} and {self.test('s', 2)})",
            lambda: f"select r.id, (select {self.aggregate('s')} from s where s.{key} = r.{key}) "
                    "from r",
            lambda: f"select r.{group} from r where {test} {self.one(['union', 'intersect', 'except'])}"
                    f"{self.one(['', ' all'])} select s.{group} from s",
            lambda: f"select r.id, {self.one(['row_number()', 'rank()', 'dense_rank()', 'sum(r.n2)', 'count(*)', 'lag(r.n2)', 'first_value(r.t)', 'avg(r.i4)'])}"
                    f" over (partition by r.{group} order by r.id) from r",
            lambda: f"select r.{group}, r.b, {self.aggregate('r')} from r group by "
                    f"{self.one(['rollup', 'cube'])} (r.{group}, r.b)",
            lambda: f"select distinct r.{group} from r where {test}",
            lambda: f"select r.id, r.{group} from r order by r.{group} "
                    f"{self.one(['', 'desc', 'nulls first', 'desc nulls last'])}, r.id "
                    f"limit {self.random.randrange(1, 30)} offset {self.random.randrange(5)}",
            lambda: f"select extract({self.one(['year', 'month', 'day', 'dow', 'epoch'])} from r.{self.one(['d', 'ts'])}), r.id "
                    "from r where r.d > '1000-01-01' and r.d < '9000-01-01' and isfinite(r.ts)",
        ][kind]()


def ask(server, setting, questions):
    script = ["\\set VERBOSITY sqlstate", "\\pset null NULL", setting]
    for at, question in enumerate(questions):
        script += [f"\\echo == {at}", question + ";"]
    text = server.psql("\n".join(script), "-At", check=False, timeout=1200)
    answers = {}
    for line in text.splitlines():
        if line.startswith("== "):
            answers[int(line[3:])] = current = []
        elif answers:
            current.append(line)
    return answers


def error_of(lines):
    return next((line for line in lines if line.startswith("ERROR")), None)


def close(a, b):
    """Sums of floats may differ by the order of addition."""
    for x, y in zip(a.split("|"), b.split("|")):
        if x != y:
            try:
                if abs(float(x) - float(y)) > 1e-9 * max(abs(float(x)), abs(float(y))):
                    return False
            except ValueError:
                return False
    return len(a.split("|")) == len(b.split("|"))


def plain(line):
    """Which of two equal values stands for a group is nobody's promise."""
    return "|".join("0" if field == "-0" else field for field in line.split("|"))


def same(a, b, ordered):
    if error_of(a) or error_of(b):
        # Which of several wrong rows is met first is nobody's promise; that it fails is.
        return bool(error_of(a)) == bool(error_of(b))
    if not ordered:
        a, b = sorted(map(plain, a)), sorted(map(plain, b))
    return len(a) == len(b) and all(x == y or close(x, y) for x, y in zip(a, b))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--queries", type=int, default=400)
    options = arguments.parse_args()
    source = Questions(options.seed)
    data = "begin;\n" + "\n".join(source.data(60)) + "\ncommit;\n"
    questions = [source.question() for _ in range(options.queries)]
    wrong = 0
    with postgres() as pg, sluice() as ours:
        for server in (pg, ours):
            server.psql(data, "-v", "ON_ERROR_STOP=1")
        ours.psql("alter table r set (columnar = on); alter table s set (columnar = on);")
        expected = ask(pg, "", questions)
        rows = ask(ours, "set sluice.read_engines = 'row';", questions)
        columns = ask(ours, "set sluice.read_engines = 'columnar';", questions)
        plans = ask(ours, "set sluice.read_engines = 'columnar';",
                    ["explain " + question for question in questions])
        for at, question in enumerate(questions):
            ordered = " order by " in question and " limit " in question
            for path, got in (("row", rows[at]), ("columnar", columns.get(at, ["gone"]))):
                if not same(expected[at], got, ordered):
                    wrong += 1
                    a, b = sorted(expected[at]), sorted(got)
                    print(f"WRONG  {path}: {question}")
                    print(f"   PostgreSQL {[x for x in a if x not in b][:3]} of {len(a)}")
                    print(f"   Sluice     {[x for x in b if x not in a][:3]} of {len(b)}")
        lowered = [p for p in plans.values() if p and p[0] == "Columnar Query"]
        failed = sum(bool(error_of(answer)) for answer in expected.values())
        print(f"{len(questions)} questions, {failed} of them errors; {len(lowered)} ran as "
              f"columns throughout; {wrong} wrong answers")
        reasons = {}
        for p in plans.values():
            for line in p:
                if line.startswith("Column path not taken: "):
                    reasons[line] = reasons.get(line, 0) + 1
        for line, count in sorted(reasons.items(), key=lambda r: -r[1]):
            print(f"   {count:4} {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
