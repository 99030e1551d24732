-- READ ONLY below savepoints, parameters that nobody gives, one expression grouped by twice,
-- a row written by WITH and by the statement itself
begin;
savepoint y;
set transaction read only;
select 1;
release y;
show transaction_read_only;
create table ro_probe (a int);
rollback;
begin;
savepoint x;
savepoint y;
set transaction read only;
show transaction_read_only;
release x;
show transaction_read_only;
rollback;
select $1;
select 1 + $1::int, $2;
values ($3);
explain select $1;
create table two (a int, b int);
insert into two values (1, 2), (1, 2), (2, 3);
select * from (select a as x, a as y, count(*) from two group by x, rollup(y)) t order by x::text, y::text, count;
select * from (select a as x, a as y, count(*) from two group by rollup(x), y) t order by x::text, y::text, count;
select * from (select a as x, a as y, count(*) from two group by rollup(x, y)) t order by x::text, y::text, count;
select * from (select a + b as x, a + b as y, count(*) from two group by x, rollup(y)) t order by x::text, y::text, count;
select * from (select a as x, a as y, count(*) from two group by a, rollup(y)) t order by x::text, y::text, count;
select * from (select a as x, a as y, a + 1 as z, count(*) from two group by 2, rollup(1)) t order by x::text, y::text, z::text, count;
select * from (select a as x, a as y, count(*) from two group by a, rollup(a)) t order by x::text, y::text, count;
select * from (select a as x, a as y, count(*), grouping(a) from two group by cube(x, y)) t order by x::text, y::text, count, grouping;
select a as x, count(*) from two group by x, a having a = 1;
create table upsert (k int primary key, v int);
insert into upsert values (1, 10);
with w as (insert into upsert values (1, 5) on conflict (k) do update set v = upsert.v + 1 returning v)
insert into upsert values (1, 7) on conflict (k) do update set v = (select v from w) returning *;
select * from upsert;
with w as (insert into upsert values (2, 5) on conflict (k) do update set v = upsert.v + 1 returning v)
insert into upsert values (1, 7) on conflict (k) do update set v = (select v from w) + upsert.v returning *;
select * from upsert order by k;
drop table two, upsert;

-- Parentheses in FROM: queries, joins, joins that begin with queries.
SELECT * FROM (((SELECT 1 AS a) x CROSS JOIN (SELECT 2 AS b) y) CROSS JOIN (SELECT 3 AS c) z);
SELECT * FROM ((((SELECT 1 AS a) x CROSS JOIN (SELECT 2 AS b) y)) CROSS JOIN (SELECT 3 AS c) z) w;
SELECT * FROM (((SELECT 1 AS a) UNION (SELECT 2)) ORDER BY 1) x;
SELECT * FROM (((SELECT 1 AS a)) UNION ALL SELECT 2) x;
SELECT w.a, x.b FROM (((SELECT 1 AS a) v JOIN (SELECT 1 AS b) u ON a = b) w CROSS JOIN (SELECT 2 AS b) x);
SELECT * FROM ((SELECT 1 AS a) x);
SELECT * FROM (((SELECT 1 AS a) v CROSS JOIN (SELECT 2 AS b) u) w);
SELECT * FROM ((SELECT 1 AS a));
SELECT 7::int8 % -2 AS remainder, 7::int % 4 AS positive;
SELECT 1::int %type;
