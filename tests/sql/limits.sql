-- How deep and how wide a statement may be.
SELECT 'SELECT ' || repeat('(', 4000) || '1' || repeat(')', 4000) AS parens \gexec
SELECT 'SELECT 0' || repeat(' + 1', 2000) AS sum \gexec
SELECT 'SELECT length(''''' || repeat(' || ''x''', 1500) || ')' \gexec
SELECT 'SELECT count(*) FROM (SELECT 1' || repeat(' UNION ALL SELECT 1', 1500) || ') x' \gexec
SELECT 'SELECT ' || repeat('CASE WHEN true THEN ', 800) || '1' || repeat(' END', 800) AS nested \gexec
SELECT 'SELECT ' || repeat('(SELECT ', 400) || '1' || repeat(')', 400) AS inner_most \gexec
SELECT 'SELECT 5 IN (' || string_agg(i::text, ', ') || ') AS found' FROM generate_series(1, 20000) i \gexec
SELECT 'SELECT count(*) FROM generate_series(1, 10) x WHERE ' || string_agg('x = ' || i, ' OR ') FROM generate_series(6, 3000) i \gexec
SELECT 'SELECT length(''' || repeat('abcdefghij', 300000) || ''')' \gexec
SELECT 'SELECT count(*) FROM (VALUES ' || string_agg('(' || i || ')', ', ') || ') v' FROM generate_series(1, 5000) i \gexec
SELECT 'SELECT count(*) FROM (SELECT ' || string_agg(i::text, ', ') || ') v' FROM generate_series(1, 1600) i \gexec
\set VERBOSITY terse
SELECT 'SELECT ' || string_agg(i::text, ', ') FROM generate_series(1, 1665) i \gexec
SELECT 'CREATE TABLE wide (' || string_agg('c' || i || ' int', ', ') || ')' FROM generate_series(1, 1601) i \gexec
SELECT $65536;
SELECT 1;
