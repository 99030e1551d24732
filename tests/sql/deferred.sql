-- Foreign keys that are checked at COMMIT.
CREATE TABLE p (id int PRIMARY KEY, u int UNIQUE);
CREATE TABLE c (id int PRIMARY KEY, p int CONSTRAINT c_p REFERENCES p DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE d (id int, u int, CONSTRAINT d_u FOREIGN KEY (u) REFERENCES p (u) ON DELETE CASCADE DEFERRABLE);
CREATE TABLE e (id int PRIMARY KEY, p int REFERENCES p);
\d c
\d d
\d p
SELECT conname, condeferrable, condeferred FROM pg_constraint WHERE contype = 'f' ORDER BY 1;
SELECT constraint_name, constraint_type, is_deferrable, initially_deferred FROM information_schema.table_constraints WHERE table_schema = 'public' AND constraint_name NOT LIKE '%not_null' ORDER BY 1;
SELECT constraint_name, unique_constraint_name, match_option, update_rule, delete_rule FROM information_schema.referential_constraints WHERE constraint_schema = 'public' ORDER BY 1;
SELECT constraint_name, table_name, column_name, ordinal_position, position_in_unique_constraint FROM information_schema.key_column_usage WHERE table_schema = 'public' ORDER BY 1, 4;
SELECT constraint_name, table_name, column_name FROM information_schema.constraint_column_usage WHERE constraint_schema = 'public' ORDER BY 1, 3;
-- The child first, then the parent.
BEGIN;
INSERT INTO c VALUES (1, 1);
INSERT INTO p VALUES (1, 10);
COMMIT;
-- No parent at all.
BEGIN;
INSERT INTO c VALUES (2, 2);
SELECT count(*) FROM c;
COMMIT;
SELECT count(*) FROM c;
-- Outside a block: at the end of the statement's own transaction.
INSERT INTO c VALUES (2, 2);
-- Gone or changed before COMMIT.
BEGIN;
INSERT INTO c VALUES (2, 2), (3, 3), (4, 4);
DELETE FROM c WHERE id = 2;
UPDATE c SET p = 1 WHERE id = 3;
UPDATE c SET p = NULL WHERE id = 4;
COMMIT;
SELECT * FROM c ORDER BY id;
-- A key that moves after it was written.
BEGIN;
INSERT INTO c VALUES (5, 5);
UPDATE c SET id = 6 WHERE id = 5;
COMMIT;
BEGIN;
INSERT INTO c VALUES (5, 5);
UPDATE c SET id = 6 WHERE id = 5;
INSERT INTO p VALUES (5, 50);
COMMIT;
SELECT * FROM c ORDER BY id;
-- The parent goes and comes back.
BEGIN;
DELETE FROM p WHERE id = 1;
SELECT count(*) FROM p WHERE id = 1;
INSERT INTO p VALUES (1, 11);
COMMIT;
BEGIN;
DELETE FROM p WHERE id = 1;
COMMIT;
BEGIN;
DELETE FROM p WHERE id = 1;
DELETE FROM c WHERE p = 1;
COMMIT;
UPDATE p SET id = 7 WHERE id = 5;
BEGIN;
UPDATE p SET id = 7 WHERE id = 5;
UPDATE c SET p = 7 WHERE p = 5;
COMMIT;
SELECT * FROM p ORDER BY id;
SELECT * FROM c ORDER BY id;
-- SET CONSTRAINTS.
BEGIN;
SET CONSTRAINTS c_p IMMEDIATE;
INSERT INTO c VALUES (10, 10);
ROLLBACK;
BEGIN;
INSERT INTO c VALUES (10, 10);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO d VALUES (1, 99);
INSERT INTO e VALUES (1, 99);
ROLLBACK;
BEGIN;
SET CONSTRAINTS public.d_u DEFERRED;
INSERT INTO d VALUES (1, 99);
INSERT INTO p VALUES (99, 99);
SET CONSTRAINTS d_u, c_p IMMEDIATE;
COMMIT;
DELETE FROM p WHERE u = 99;
SELECT count(*) FROM d;
INSERT INTO d VALUES (1, 98);
SET CONSTRAINTS d_u DEFERRED;
SET CONSTRAINTS nope DEFERRED;
SET CONSTRAINTS nope.c_p DEFERRED;
SET CONSTRAINTS e_p_fkey DEFERRED;
SET CONSTRAINTS c_pkey DEFERRED;
-- Savepoints.
BEGIN;
INSERT INTO c VALUES (20, 20);
SAVEPOINT a;
INSERT INTO c VALUES (21, 21);
ROLLBACK TO a;
INSERT INTO p VALUES (20, 20);
COMMIT;
BEGIN;
INSERT INTO c VALUES (22, 22);
SAVEPOINT a;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO a;
INSERT INTO c VALUES (23, 23);
INSERT INTO p VALUES (22, 22), (23, 23);
RELEASE a;
COMMIT;
BEGIN;
INSERT INTO p VALUES (24, 24);
SAVEPOINT a;
INSERT INTO c VALUES (24, 24);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO a;
INSERT INTO c VALUES (25, 25);
INSERT INTO p VALUES (25, 25);
COMMIT;
SELECT count(*) FROM c;
-- A cycle of two tables, which no order of statements satisfies at once.
CREATE TABLE h (id int PRIMARY KEY, w int);
CREATE TABLE w (id int PRIMARY KEY, h int NOT NULL REFERENCES h);
ALTER TABLE h ADD CONSTRAINT h_w FOREIGN KEY (w) REFERENCES w DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO h VALUES (1, 1); INSERT INTO w VALUES (1, 1); COMMIT;
BEGIN; INSERT INTO h VALUES (2, 2); COMMIT;
WITH x AS (INSERT INTO h VALUES (3, 3)) SELECT 1;
SELECT * FROM h ORDER BY id;
-- What may not be.
CREATE TABLE bad (a int CHECK (a > 0) DEFERRABLE);
CREATE TABLE bad (a int, CHECK (a > 0) DEFERRABLE);
CREATE TABLE bad (a int DEFERRABLE);
CREATE TABLE bad (a int INITIALLY DEFERRED);
CREATE TABLE bad (a int NOT DEFERRABLE);
CREATE TABLE bad (a int REFERENCES p NOT DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE bad (a int REFERENCES p INITIALLY IMMEDIATE NOT DEFERRABLE, b int REFERENCES p INITIALLY DEFERRED);
\d bad
ALTER TABLE bad DROP CONSTRAINT bad_b_fkey;
ALTER TABLE bad ADD CONSTRAINT x FOREIGN KEY (b) REFERENCES p DEFERRABLE INITIALLY IMMEDIATE NOT VALID;
\d bad
