select 1, 'a', null, true, 1.5, 1e3, -7 % 3, 7 / 2, -7 / 2, 2 ^ 10, '5' + 3;
select array[1, 2, 3], (array[1, 2, 3])[2], array_length(array[1, 2], 1), 2 = any(array[1, 2]), '{a,NULL,"b c"}'::text[];
select 'a'::char(3) || '|', 'abcdef'::varchar(3), '\xdeadbeef'::bytea, '{"a": [1, 2]}'::jsonb -> 'a' ->> 1;
select pg_typeof(1), pg_typeof(1.5), pg_typeof('a'), pg_typeof(1::bigint + 1), pg_typeof(array[1.5]);
