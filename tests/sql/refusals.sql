create table t (a int primary key);
create table t2 (a nosuchtype);
alter table t drop column nope;
select '{"a":'::jsonb;
drop table t;
