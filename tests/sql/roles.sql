-- What a role's sessions begin with, and who may change roles.
create role analyst login;
create role guest;
alter role analyst set statement_timeout = '5s';
alter role analyst set search_path to public, other;
alter user analyst set datestyle to 'SQL, DMY';
alter role analyst set work_mem = '8MB';
select rolname, rolconfig from pg_roles where rolname in ('analyst', 'guest') order by 1;
select s.setdatabase, r.rolname, s.setconfig
    from pg_db_role_setting s join pg_roles r on r.oid = s.setrole order by 2;
alter role analyst set statement_timeout = '6s';
alter role analyst reset work_mem;
select rolconfig from pg_roles where rolname = 'analyst';
\drds analyst
-- Mistakes.
alter role analyst set no_such_setting = 1;
alter role analyst set statement_timeout = 'soon';
alter role analyst set server_version = 1;
alter role nobody set work_mem = '8MB';
alter role analyst set work_mem;
-- As the role.
\c - analyst
show statement_timeout;
show search_path;
show datestyle;
set statement_timeout = 0;
show statement_timeout;
reset statement_timeout;
show statement_timeout;
alter role analyst set work_mem = '9MB';
alter role analyst password 'secret';
alter role analyst superuser;
alter role analyst createdb;
alter role sluice set work_mem = '9MB';
alter role sluice nologin;
alter role guest set work_mem = '9MB';
alter role guest rename to visitor;
alter role analyst set deadlock_timeout = '1s';
create role another;
drop role guest;
show work_mem;
\c - sluice
select rolconfig from pg_roles where rolname = 'analyst';
alter role analyst reset all;
select rolconfig from pg_roles where rolname = 'analyst';
-- One that may make roles, but no superusers.
create role manager login createrole;
\c - manager
create role another;
alter role another login;
create role boss superuser;
alter role another superuser;
alter role sluice nologin;
drop role another;
drop role sluice;
\c - sluice
drop role analyst, guest, manager;

-- others' sessions
select pg_cancel_backend(0);
select pg_terminate_backend(0);
select pg_terminate_backend(0, 10);
select pg_terminate_backend(0, -1);
select pg_cancel_backend(null), pg_terminate_backend(null);
select pg_cancel_backend(pg_backend_pid());
