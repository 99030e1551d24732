CREATE TABLE t (a int PRIMARY KEY, b text, c varchar(10), d numeric(10,2), e timestamptz, f bool, g bigint);
CREATE TABLE u (a int, x text, y date);
CREATE TABLE v (id bigint, t_a int, n float8, j jsonb, arr int[], PRIMARY KEY (id, t_a));
CREATE TABLE typ (i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, num numeric, txt text, vc varchar(5), ch char(3), bo bool, da date, ti time, ts timestamp, tz timestamptz(3), iv interval, uu uuid, byt bytea, js json, jb jsonb, ia int[], ta text[], na name, oi oid);
CREATE TABLE "Mixed Case" ("Id" int PRIMARY KEY, "select" text);
