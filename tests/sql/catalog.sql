-- What psql, drivers and ORMs ask of the catalog.
create table ca (id int primary key, name varchar(20) not null, price numeric(10, 2), at timestamptz, tags text[], unique (name, price));
create index ca_at on ca (at desc, id);
comment on table ca is 'a table';
\d
\d ca_at
\d ca_pkey
\di
\dt ca
\dt+ nope
\dn+
\du
\dT int4
\dT+ text
\df repeat
\df+ repeat
\da count
\dv
\ds
\dm
\dp ca
\dd ca
\dD
\dE
\dO
\dRp
\dy
\drds
\ddp
\do ^@
\encoding
select 'ca'::regclass, 'int4'::regtype, 'pg_catalog'::regnamespace, 'postgres'::regrole, 'now'::regproc, 'lower(text)'::regprocedure, '||/'::regoper, array['ca'::regclass], 0::regclass, pg_typeof('ca'::regclass), 'ca'::regclass::text, 'ca_pkey'::regclass;
select 'nope'::regclass;
select 'nope'::regtype;
select 'nope'::regnamespace;
select 'nope'::regrole;
select 'nope'::regproc;
select 'public.nope'::regclass;
select 'nope.nope'::regclass;
select to_regclass('ca'), to_regclass('nope'), to_regtype('integer'), to_regtype('nope'), to_regproc('now'), to_regnamespace('public'), to_regrole('nope'), to_regprocedure('abs(int)');
select row(1, 'ca'::regclass, 'int4'::regtype), row('x'::char(3), null, '{"a":1}'::json);
select relname, relkind, relnatts, relhasindex from pg_class where oid = 'ca'::regclass; select relname from pg_class where relnamespace = 'public'::regnamespace order by 1;
select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attnum from pg_attribute a where a.attrelid = 'ca'::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum;
select conname, contype, conkey, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'ca'::regclass order by conname;
select i.indexrelid::regclass, i.indisunique, i.indisprimary, i.indkey, i.indoption, i.indkey::int2[], pg_get_indexdef(i.indexrelid) from pg_index i where i.indrelid = 'ca'::regclass order by 1::text, i.indexrelid::regclass::text;
select c.relname, a.attname, k.n from pg_index i join pg_class c on c.oid = i.indexrelid, unnest(i.indkey) with ordinality k(attnum, n) join pg_attribute a on a.attnum = k.attnum where i.indrelid = 'ca'::regclass and a.attrelid = i.indrelid order by 1, 3;
select table_schema, table_name, table_type from information_schema.tables where table_name = 'ca'; select column_name, ordinal_position, is_nullable, data_type, udt_name, character_maximum_length, numeric_precision, numeric_scale, datetime_precision from information_schema.columns where table_name = 'ca' order by ordinal_position;
select constraint_name, constraint_type from information_schema.table_constraints where table_name = 'ca' and constraint_type <> 'CHECK' order by 1; select constraint_name, column_name, ordinal_position from information_schema.key_column_usage where table_name = 'ca' order by 1, 3;
select tablename, tableowner, hasindexes from pg_tables where schemaname = 'public'; select indexname, indexdef from pg_indexes where schemaname = 'public' order by 1;
select obj_description('ca'::regclass, 'pg_class'), obj_description('ca'::regclass), col_description('ca'::regclass, 1), obj_description('lower(text)'::regprocedure, 'pg_proc');
select tableoid::regclass, count(*) from pg_namespace where nspname = 'public' group by 1; select ca.tableoid::regclass, x.id from (values (1)) x(id) left join ca on ca.id = x.id;
select current_database(), current_user, session_user, user, current_role, current_catalog, current_schema, current_schema(), current_schemas(true), current_schemas(false);
select set_config('application_name', 'x', false), set_config('work_mem', '5MB', true); select current_setting('application_name'), current_setting('nope.nope', true), current_setting('work_mem'); reset application_name;
begin; select set_config('work_mem', '7MB', true); show work_mem; rollback; show work_mem;
select set_config('nope', 'x', false);
select set_config('work_mem', 'x', false);
select set_config(null, 'x', false);
select current_setting('nope');
select pg_get_serial_sequence('ca', 'id'), pg_get_serial_sequence('ca', 'nope');
select pg_get_serial_sequence('nope', 'id');
select has_table_privilege('ca', 'select'), has_schema_privilege('public', 'usage'), has_database_privilege(current_database(), 'connect');
select has_table_privilege('ca', 'selec');
select format_type(1043, 24), format_type(1700, 655366), format_type(23, null), format_type(1007, -1), format_type(0, null), format_type(99999999, null);
select (t).name, (t).id, t is null from (select ca as t from (values (1, 'x')) ca(id, name)) s; select (ca).nope from ca;
drop table ca;
select k, acldefault(k::"char", (select oid from pg_roles where rolname = current_user)) from unnest(array['c', 'r', 's', 'd', 'f', 'l', 'L', 'n', 'p', 't', 'F', 'S', 'T']) k;
select acldefault('x', 10);
select acldefault('r', 0), acldefault('r', null), acldefault('c', 10);
select ('abc'::name)[0], ('abc'::name)[2], ('abc'::name)[3] = '', ('abc'::name)[63] = '', ('abc'::name)[64], ('abc'::name)[-1], (null::name)[0], pg_typeof(('abc'::name)[0]);
select count(*) from pg_amproc where amprocnum > 100; select count(*) from pg_subscription; select count(*) from pg_largeobject_metadata; select count(*) from pg_seclabels;
create table ca (id int primary key); create sequence ca_s; create schema ca_o; create table ca_o.other (id int primary key, at int default nextval('ca_s') + 1, again text default 'x''::regclass' || nextval('ca_s') || nextval('public.ca_s'), ca int references ca);
select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'ca_o.other'::regclass order by conname; select adnum, pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'ca_o.other'::regclass order by 1;
set search_path = ''; select pg_get_constraintdef(oid) from pg_catalog.pg_constraint where conrelid = 'ca_o.other'::regclass order by conname; select adnum, pg_get_expr(adbin, adrelid) from pg_catalog.pg_attrdef where adrelid = 'ca_o.other'::regclass order by 1; reset search_path;
select classid::regclass, refclassid::regclass, refobjid::regclass, refobjsubid, deptype from pg_depend where refclassid = 'pg_class'::regclass and (objid in (select oid from pg_constraint where conrelid = 'ca_o.other'::regclass) or objid in (select oid from pg_attrdef where adrelid = 'ca_o.other'::regclass)) order by 1, 3::text, 4, 5;
select nspname, privtype, initprivs = nspacl from pg_init_privs i join pg_namespace n on n.oid = objoid where classoid = 'pg_namespace'::regclass order by 1;
drop table ca_o.other; drop schema ca_o; drop sequence ca_s; drop table ca;
