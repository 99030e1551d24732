-- COPY: formats, options, column lists, malformed input.
\set SHOW_CONTEXT errors
create table c (a int primary key, b text, n numeric(8,2), d date default '2020-01-01');

copy c from stdin;
1	one	1.5	2024-02-29
2	\N	\N	\N
3	tab\there	-0.005	infinity
\.
select * from c order by a;
copy c (b, a) from stdin;
back\\slash	4
nl\nhere	5
\x41\102\q	6
	7
\.
select a, b, d from c where a > 3 order by a;
copy c to stdout;
copy c (a, n) to stdout with (delimiter '|', null 'nil');
copy (select a, b, n * 2 as twice from c where n is not null order by a) to stdout with csv header;
copy (values (1, 'x,y'), (2, 'q"q'), (3, null), (4, ''), (5, E'l\nm')) to stdout csv;
copy (values ('a', 'b'), (null, 'it''s')) to stdout (format csv, quote '''', force_quote *);
copy (values ('a"b\c', 'b')) to stdout (format csv, escape '\', force_quote (column1));

-- CSV in
create table v (a text, b text, c text);
copy v from stdin (format csv, header true);
a,b,c
1,"two, three","say ""hi"""
,"",x
"multi
line",  spaced  ,\N
\.
select a, b, c, a is null as an, b is null as bn from v order by a nulls first;
truncate v;
copy v from stdin (format csv, null 'NULL', force_not_null (a), force_null (b));
NULL,"NULL","NULL"
x,NULL,NULL
\.
select a, b is null as bn, c is null as cn, c from v;
truncate v;
copy v from stdin (format csv, delimiter ';', quote '$', escape '#');
$a;#$b$;c;$#$$
\.
select * from v;
truncate v;
copy v (a, b, c) from stdin (format csv, header match);
a,b,c
1,2,3
\.
copy v from stdin (format csv, header match);
a,x,c
1,2,3
\.
copy v from stdin (format csv, header match);
a,b
1,2,3
\.
select * from v;

-- old syntax
copy v to stdout with delimiter ',' null 'n';
copy v to stdout csv header quote '"' force quote a;

-- malformed input
copy c from stdin;
8	x
\.
copy c from stdin;
8	x	1	2020-01-01	more
\.
copy c from stdin;
eight	x	1	2020-01-01
\.
copy c from stdin;
8	x	1	2020-01-01
9	x	1	2020-13-01
\.
copy c from stdin;
8	x	1234567.89	2020-01-01
\.
copy c from stdin;
8	x	1	2020-01-01
8	y	1	2020-01-01
\.
copy c from stdin;
1	x	1	2020-01-01
\.
copy c from stdin;
\N	x	1	2020-01-01
\.
copy v from stdin csv;
a,b
\.
copy v from stdin csv;
a,b,"c
\.
copy v from stdin csv;
a,b,c,d
\.
select count(*) from c;
create table k (a int check (a > 0), b varchar(3), e char(2) not null);
copy k from stdin;
1	abc	x
0	abc	x
\.
copy k from stdin;
1	abcd	x
\.
copy k from stdin;
1	abc	\N
\.
copy k from stdin;
1	abc	xyz
\.
copy k from stdin;
99999999999	abc	xy
\.
select * from k;

-- what is refused
copy nothing from stdin;
copy c (a, x) from stdin;
copy c (a, a) from stdin;
copy c to stdout (format xml);
copy c to stdout (delimiter 'ab');
copy c to stdout (quote '"');
copy c to stdout (format csv, quote ',');
copy c to stdout (delimiter 'a');
copy c to stdout (format csv, force_not_null (a));
copy c from stdin (format csv, force_quote (a));
copy c (a) from stdin (format csv, force_null (b));
copy c to stdout (format csv, format text);
copy c to stdout (nonsense 1);
copy c to stdout (format binary, delimiter ',');
copy c to stdout (format csv, force_quote (zz));
copy c to stdout (null E'a\nb');
copy c from stdin (header match);
a	b	n	e
\.
copy c to stdout (format csv, header match);
copy (select 1) from stdin;
copy (insert into k values (7, 'r', 's') returning a, e) to stdout;
copy (insert into k values (8, 'r', 's')) to stdout;
copy c from stdin (freeze maybe);

-- in a transaction
begin;
copy k from stdin;
20	a	b
\.
savepoint s;
copy k from stdin;
-1	a	b
\.
rollback to s;
copy k from stdin;
21	a	b
\.
commit;
select * from k order by a;
begin;
copy k from stdin;
30	a	b
\.
rollback;
select count(*) from k;
