-- WITH: statements that write, what they see, and what they give.
CREATE TABLE stock (item text PRIMARY KEY, pieces int NOT NULL);
CREATE TABLE moved (item text, pieces int);
INSERT INTO stock VALUES ('bolt', 10), ('nut', 20), ('pin', 30);

WITH gone AS (DELETE FROM stock WHERE pieces < 15 RETURNING *)
INSERT INTO moved SELECT * FROM gone;
SELECT * FROM stock ORDER BY item;
SELECT * FROM moved ORDER BY item;

-- Everyone sees the rows as they were before the statement.
WITH more AS (UPDATE stock SET pieces = pieces + 1 RETURNING item, pieces)
SELECT s.item, s.pieces AS before, more.pieces AS after
FROM stock s JOIN more USING (item) ORDER BY 1;
WITH new AS (INSERT INTO stock VALUES ('rod', 1) RETURNING pieces)
SELECT (SELECT count(*) FROM stock) AS seen, pieces FROM new;

-- What nobody reads runs to its end all the same, and once.
WITH a AS (INSERT INTO moved VALUES ('a', 1)), b AS (INSERT INTO moved VALUES ('b', 2) RETURNING *)
SELECT 'done';
SELECT * FROM moved ORDER BY item;
WITH b AS (INSERT INTO moved SELECT 'x', i FROM generate_series(1, 3) i RETURNING *)
SELECT * FROM b LIMIT 1;
SELECT count(*) FROM moved WHERE item = 'x';
WITH b AS (DELETE FROM moved WHERE item = 'x' RETURNING pieces)
SELECT (SELECT sum(pieces) FROM b) + (SELECT count(*) FROM b) AS both;

-- A row is written once.
WITH u AS (UPDATE stock SET pieces = pieces + 100 WHERE item = 'pin' RETURNING item)
UPDATE stock SET pieces = stock.pieces + 1000 FROM u WHERE stock.item = u.item;
SELECT * FROM stock WHERE item = 'pin';
WITH d AS (DELETE FROM stock WHERE item = 'rod' RETURNING *)
INSERT INTO stock SELECT item, pieces + 5 FROM d RETURNING *;

-- Tags count the statement's own rows.
WITH w AS (INSERT INTO moved VALUES ('p', 1), ('q', 2) RETURNING *)
DELETE FROM moved USING w WHERE moved.item = 'b' AND w.item = 'p';
WITH v(i, n) AS (VALUES ('nut', 7)), u AS (UPDATE stock SET pieces = n FROM v WHERE item = i RETURNING stock.*)
UPDATE moved SET pieces = u.pieces FROM u WHERE moved.item = 'p' RETURNING moved.*;
WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 3),
    ins AS (INSERT INTO moved SELECT 'r' || i, i FROM t RETURNING *)
SELECT * FROM ins ORDER BY item;
WITH up AS (
    INSERT INTO stock VALUES ('nut', 1), ('cog', 2)
    ON CONFLICT (item) DO UPDATE SET pieces = stock.pieces + excluded.pieces RETURNING *)
SELECT * FROM up ORDER BY item;

-- Named outside the source.
WITH aa AS (SELECT 5 AS a)
INSERT INTO stock VALUES ('nut', 0) ON CONFLICT (item) DO UPDATE SET pieces = (SELECT a FROM aa) RETURNING *;
WITH aa AS (SELECT 6 AS a) UPDATE stock SET pieces = (SELECT a FROM aa) WHERE item = 'nut' RETURNING *, (SELECT a FROM aa);
WITH aa AS (SELECT 7 AS a) DELETE FROM moved WHERE item = 'nothing' RETURNING (SELECT a FROM aa);

-- Recursion with a WITH of its own.
WITH RECURSIVE t(j) AS (
    WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s WHERE i < 3)
    SELECT i FROM s UNION ALL SELECT j + 1 FROM t WHERE j < 4)
SELECT * FROM t ORDER BY j;

-- Prepared, and in a block.
PREPARE take(text) AS WITH d AS (DELETE FROM stock WHERE item = $1 RETURNING *) SELECT * FROM d;
EXECUTE take('cog');
EXECUTE take('cog');
BEGIN;
WITH d AS (DELETE FROM stock RETURNING *) SELECT count(*) FROM d;
ROLLBACK;
SELECT count(*) FROM stock;
BEGIN READ ONLY;
WITH d AS (DELETE FROM stock RETURNING *) SELECT count(*) FROM d;
ROLLBACK;

-- Refused.
WITH d AS (DELETE FROM moved) SELECT * FROM d;
SELECT * FROM (WITH d AS (DELETE FROM moved RETURNING *) SELECT * FROM d) x;
WITH o AS (WITH d AS (DELETE FROM moved RETURNING *) SELECT * FROM d) SELECT * FROM o;
WITH RECURSIVE d AS (DELETE FROM moved USING d RETURNING *) SELECT * FROM d;
WITH d(a, b, c) AS (DELETE FROM moved RETURNING item) SELECT * FROM d;
BEGIN;
DECLARE c CURSOR FOR WITH d AS (DELETE FROM moved RETURNING *) SELECT * FROM d;
ROLLBACK;
DROP TABLE stock, moved;
