create table d (id int primary key, name varchar(20) not null default 'x', price numeric(10, 2) check (price > 0), at timestamptz, tags text[]);
create index d_name on d (name, at desc);
create unique index d_price on d (price);
\d
\dt
\d d
\d d_name
\di
\dn
\d nope
drop table d;
