-- Rows as values: names of their fields, and rows that an outer join did not find.
CREATE TABLE people (id int PRIMARY KEY, name text, born date);
CREATE TABLE pets (owner int, pet text);
INSERT INTO people VALUES (1, 'Ann', '2001-02-03'), (2, 'Bob', NULL), (3, NULL, NULL);
INSERT INTO pets VALUES (1, 'cat'), (1, NULL), (9, 'dog');

SELECT people FROM people ORDER BY id;
SELECT row_to_json(people) FROM people ORDER BY id;
SELECT row_to_json(p.*) FROM people p ORDER BY p.id;
SELECT to_json(x) FROM (SELECT id, upper(name) AS loud, ARRAY[id] FROM people) x ORDER BY id;
SELECT json_agg(p ORDER BY id) FROM (SELECT id, name FROM people) p;
SELECT jsonb_agg(p ORDER BY id) FROM people p;
SELECT to_jsonb(p) -> 'name' AS name FROM people p WHERE id = 1;
SELECT row_to_json(v) FROM (VALUES (1, 'a'), (2, 'b')) v(num, "the Letter") ORDER BY num;
SELECT row_to_json(ROW(1, 'x', NULL));
SELECT row_to_json(x) FROM people JOIN pets ON id = owner JOIN LATERAL (SELECT pet, id * 10 AS ten) x ON true ORDER BY pet;
SELECT row_to_json(x.*) FROM people AS a JOIN people AS b USING (id) AS x ORDER BY id;
SELECT row_to_json(p, true) FROM people p WHERE id = 1;
SELECT json_build_object('p', p, 'n', p.name) FROM people p WHERE id = 2;
SELECT row_to_json(t) FROM (SELECT '{"a": 1}'::json AS j, 'x'::char(3) AS c, 1.50 AS n, now() IS NULL AS b) t;

-- count(t.*) counts rows that are there.
SELECT id, count(pets.*), count(pets), count(*), count(pet) FROM people LEFT JOIN pets ON id = owner GROUP BY id ORDER BY id;
SELECT id, pets FROM people LEFT JOIN pets ON id = owner ORDER BY id, pet;
SELECT people, pet FROM people RIGHT JOIN pets ON id = owner ORDER BY pet;
SELECT people, pets FROM people FULL JOIN pets ON id = owner ORDER BY id, pet;
SELECT id, x FROM people LEFT JOIN (SELECT pet, owner FROM pets) x ON id = x.owner ORDER BY id, x.pet;
SELECT id, coalesce(pets::text, 'none') AS pet FROM people LEFT JOIN pets ON id = owner ORDER BY 1, 2;
SELECT id, pets IS NULL AS nothing, pets IS NOT NULL AS all FROM people LEFT JOIN pets ON id = owner ORDER BY id, pet;
SELECT row_to_json(pets) FROM people LEFT JOIN pets ON id = owner ORDER BY id, pet;
SELECT i, k FROM generate_series(1, 2) i LEFT JOIN LATERAL (SELECT i AS one WHERE i = 2) k ON true ORDER BY i;
SELECT people FROM people WHERE people IS NOT NULL;
SELECT p = q FROM people p JOIN people q USING (id) ORDER BY id;

-- What grouping makes of constants and of outer columns.
SELECT * FROM (SELECT 1 AS x, owner, count(*) FROM pets GROUP BY GROUPING SETS (1, 2)) s ORDER BY 1, 2;
SELECT owner, (SELECT grouping(owner)) AS g, count(*) FROM pets GROUP BY ROLLUP (owner) ORDER BY 1, 2;
SELECT string_agg(DISTINCT pet, ',' ORDER BY pet) FROM pets;
SELECT string_agg(DISTINCT pet::varchar, ',' ORDER BY pet) FROM pets;

-- RANGE frames at the ends of a type.
SELECT x, last_value(x) OVER (ORDER BY x::smallint RANGE BETWEEN CURRENT ROW AND 2147450884 FOLLOWING) FROM generate_series(32764, 32766) x;
SELECT x, first_value(x) OVER (ORDER BY x RANGE BETWEEN 5 PRECEDING AND CURRENT ROW) FROM generate_series(-2147483647, -2147483645) x;
SELECT x, last_value(x) OVER (ORDER BY x DESC RANGE BETWEEN CURRENT ROW AND 5 FOLLOWING) FROM generate_series(-9223372036854775806, -9223372036854775804) x;
SELECT x, count(*) OVER (ORDER BY x RANGE BETWEEN 5 FOLLOWING AND 9 FOLLOWING) FROM generate_series(2147483644, 2147483646) x;

-- Messages about names.
SELECT a.n, g FROM (SELECT 1 AS n) a, (SELECT n AS g) s;
UPDATE pets SET pet = 'x' FROM LATERAL (SELECT * FROM people WHERE id = owner) s;
DELETE FROM pets USING (SELECT * FROM people WHERE id = owner) s;
SELECT * FROM (people i CROSS JOIN pets j) s(a, b, c, d, e, f);
SELECT 1 FROM people JOIN pets ON id = owner FOR UPDATE OF nobody;
SELECT * FROM (people p JOIN pets ON id = owner) AS j FOR UPDATE OF j;
SELECT id FROM people ORDER BY id FETCH FIRST 1 ROW WITH TIES FOR UPDATE SKIP LOCKED;
START TRANSACTION;
COMMIT;
DROP TABLE people, pets;
