create table cw (a int primary key, b text default 'none', c numeric not null default 1, check (a < 1000));
copy cw (a, b) from stdin where a % 2 = 0 and b <> 'x';
1	one
2	two
4	x
6	\N
8	eight
\.
select * from cw order by a;
copy cw from stdin where c > 5;
10	ten	\N
12	twelve	7
\.
select * from cw order by a;
-- what is left out is not checked
copy cw (a) from stdin where a < 100;
2000
14
\.
copy cw (a) from stdin where cw.a > 100 and b = 'none';
5
200
2000
\.
select a, b from cw order by a;
copy cw from stdin csv header where b like 't%' and length(b) > 3;
a,b,c
300,tiny,1
301,x,2
302,three,3
\.
select a, b from cw where a >= 300 order by a;
copy cw from stdin where (select true);
copy cw from stdin where count(*) > 1;
copy cw from stdin where row_number() over () > 1;
copy cw from stdin where generate_series(1, 2) > 1;
copy cw from stdin where a;
copy cw from stdin where nope = 1;
copy cw from stdin where $1 = 1;
copy cw to stdout where a = 1;
copy cw (a) from stdin where 1 / (a - 7) = 0;
7
\.
copy (select $1) to stdout;
drop table cw;
